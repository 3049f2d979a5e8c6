"""Adding, editing and removing applications. How they fare: `observe/checks/pages/applications.py`."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.catalog import actions
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.pages.forms import ApplicationForm
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.kit.replies import attempt, done, form_page, posted, saved


@needs(CATALOG_EDIT, "GET", "POST")
def new(request: HttpRequest) -> HttpResponseBase:
    """Add an application."""
    return _edit(request, None)


@needs(CATALOG_EDIT, "GET", "POST")
def edit(request: HttpRequest, name: str) -> HttpResponseBase:
    """Change an application; one that a file manages is shown, and where to change it."""
    return _edit(request, get_object_or_404(Application, name=name))


def _edit(request: HttpRequest, row: Application | None) -> HttpResponseBase:
    form = ApplicationForm(posted(request), application=row)

    def put() -> Application:
        assert form.spec is not None  # a valid form has one
        return actions.put_application(form.spec, actor_of(request), clock.now(), existing=row)

    if kept := saved(form, put, row):
        return done(request, f"{kept.name} was saved.", reverse("application", args=[kept.name]))
    crumbs = [{"href": reverse("applications"), "label": "Applications"}]
    if row is not None:
        crumbs.append({"href": reverse("application", args=[row.name]), "label": row.name})
    context = {"now": clock.now(), "application": row, "crumbs": crumbs, "place": "applications"}
    return form_page(request, "catalog/edit.html", form, context)


@needs(CATALOG_EDIT, "POST")
def remove(request: HttpRequest, name: str) -> HttpResponseBase:
    """Remove an application with its checks; the journal keeps its facts."""
    application = get_object_or_404(Application, name=name)
    return attempt(
        request,
        lambda: actions.remove_application(application, actor_of(request), clock.now()),
        f"{name} was removed.",
        reverse("applications"),
        back=reverse("application", args=[name]),
    )
