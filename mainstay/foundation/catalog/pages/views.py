"""Adding, editing and removing applications. How they fare: `desk/applications.py`, which knows all wings."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.catalog import actions
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.pages.forms import ApplicationForm
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.foundation.refusal import Refused
from mainstay.kit.replies import done


@needs(CATALOG_EDIT)
def new(request: HttpRequest) -> HttpResponseBase:
    """Add an application."""
    form = ApplicationForm(request.POST if request.method == "POST" else None)
    return _form_page(request, form, None)


@needs(CATALOG_EDIT)
def edit(request: HttpRequest, name: str) -> HttpResponseBase:
    """Change an application; one that a file manages is shown, and where to change it."""
    application = get_object_or_404(Application, name=name)
    bound = request.method == "POST"
    managed = bool(application.managed_by) and not bound
    form = ApplicationForm(request.POST if bound else None, application=application, managed=managed)
    return _form_page(request, form, application)


def _form_page(request: HttpRequest, form: ApplicationForm, application: Application | None) -> HttpResponseBase:
    if request.method == "POST" and form.is_valid() and form.spec is not None:
        try:
            saved = actions.put_application(form.spec, actor_of(request), clock.now(), existing=application)
        except Refused as refused:
            form.refuse(refused)
        else:
            return done(request, f"{saved.name} was saved.", reverse("application", args=[saved.name]))
    crumbs = [{"href": reverse("applications"), "label": "Applications"}]
    if application is not None:
        kept = Application.objects.get(
            pk=application.pk
        )  # the action may have changed the one in memory before refusing
        application = kept
        crumbs.append({"href": reverse("application", args=[kept.name]), "label": kept.name})
    context: dict[str, Any] = {
        "now": clock.now(),
        "form": form,
        "application": application,
        "crumbs": crumbs,
        "place": "applications",
    }
    return render(request, "catalog/edit.html", context, status=422 if form.errors else 200)


@needs(CATALOG_EDIT)
@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponseBase:
    """Remove an application with its checks; the journal keeps its facts."""
    application = get_object_or_404(Application, name=name)
    try:
        actions.remove_application(application, actor_of(request), clock.now())
    except Refused as refused:
        return done(request, f"{refused.detail}.", reverse("application", args=[name]), tone="bad")
    return done(request, f"{name} was removed.", reverse("applications"))
