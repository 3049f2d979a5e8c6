"""Adding, editing, trying, pausing and removing checks."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.refusal import Refused
from mainstay.foundation.secrets import LostKey
from mainstay.kit.replies import attempt, done, form_page, posted, saved
from mainstay.observe.checks import actions
from mainstay.observe.checks.api.trying import try_once
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages.drawing import phases_bar
from mainstay.observe.checks.pages.forms import CheckForm
from mainstay.observe.checks.spec import Common
from mainstay.observe.checks.uptime.latency import PHASE_LABELS, PHASES
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT


def _check(check_id: int) -> Check:
    found = Check.objects.select_related("application", "environment", "component", "state")
    return get_object_or_404(found, pk=check_id)


@needs(CHECKS_EDIT, "GET", "POST")
def new(request: HttpRequest) -> HttpResponseBase:
    """Add a check: first its application and kind, then what the kind needs."""
    names = list(Application.objects.order_by("name").values_list("name", flat=True))
    given = request.POST if request.method == "POST" else request.GET
    kind = given.get("kind", "http") if given.get("kind", "http") in KINDS else "http"
    wanted = given.get("application", "")
    application = Application.objects.filter(name=wanted if wanted in names else (names or [""])[0]).first()
    context: dict[str, Any] = {
        "now": clock.now(),
        "crumbs": [{"href": reverse("checks"), "label": "Checks"}],
        "applications": names,
        "application": application,
        "kinds": [(name, one.label) for name, one in KINDS.items()],
        "kind": kind,
        "passive": KINDS[kind].passive,
        "place": "checks",
    }
    if application is None:
        return render(request, "checks/edit.html", context)
    form = CheckForm(kind, application, posted(request))
    if check := _saved(request, form):
        text = f"{check} is watched from now on." if not check.paused else f"{check} was added, paused."
        return done(request, text, reverse("check", args=[check.pk]))
    return _page(request, form, context)


@needs(CHECKS_EDIT, "GET", "POST")
def edit(request: HttpRequest, check_id: int) -> HttpResponseBase:
    """Change a check; one that a file manages is shown, and where to change it."""
    check = _check(check_id)
    kind = check.kind
    context: dict[str, Any] = {
        "now": clock.now(),
        "crumbs": [
            {"href": reverse("checks"), "label": "Checks"},
            {"href": reverse("check", args=[check.pk]), "label": str(check)},
        ],
        "check": check,
        "application": check.application,
        "kind": kind,
        "passive": check.passive,
        "place": "checks",
    }
    if kind not in KINDS:
        return render(request, "checks/edit.html", context | {"lost_kind": kind}, status=409)
    form = CheckForm(kind, check.application, posted(request), check=check)
    if row := _saved(request, form):
        return done(request, f"{row} was saved.", reverse("check", args=[row.pk]))
    return _page(request, form, context)


def _saved(request: HttpRequest, form: CheckForm) -> Check | None:
    def put() -> Check:
        return actions.put_check(form.application, form.spec, actor_of(request), clock.now(), existing=form.check)

    return saved(form, put)


def _page(request: HttpRequest, form: CheckForm, context: dict[str, Any]) -> HttpResponse:
    timing = [form[name] for name in ("every", "timeout", "fail_after", "recover_after") if name in form.fields]
    return form_page(request, "checks/edit.html", form, {**context, "timing": timing})


@needs(CHECKS_EDIT, "POST")
def try_it(request: HttpRequest) -> HttpResponseBase:
    """Probe once what the form describes, without saving it; answers a fragment."""
    number = request.POST.get("check", "")
    check = _check(int(number)) if number.isascii() and number.isdecimal() and len(number) < 19 else None
    kind = check.kind if check is not None else request.POST.get("kind", "")
    application = (
        check.application
        if check is not None
        else get_object_or_404(Application, name=request.POST.get("application", ""))
    )
    if kind not in KINDS:
        return render(request, "checks/tried.html", {"problems": [f"There is no kind of check called “{kind}”."]})
    form = CheckForm(kind, application, request.POST, check=check)
    if not form.is_valid():
        problems = [
            f"{form[name].label if name in form.fields else ''}: {error}".removeprefix(": ")
            for name, errors in form.errors.items()
            for error in errors
        ]
        return render(request, "checks/tried.html", {"problems": problems})
    return _tried(request, form.spec)


@needs(MAINTENANCE_EDIT, "POST")
def probe(request: HttpRequest, check_id: int) -> HttpResponseBase:
    """Probe a check once, now; what is seen is shown and does not count."""
    check = _check(check_id)
    try:
        spec = actions.spec_of(check)
    except (LostKey, ValueError) as error:
        return render(
            request, "checks/tried.html", {"problems": [f"Its settings cannot be used: {error}"], "dialog": check}
        )
    return _tried(request, spec, dialog=check)


def _tried(request: HttpRequest, spec: Common, *, dialog: Check | None = None) -> HttpResponse:
    try:
        seen = try_once(spec, settings.ENVIRONMENT)
    except (Refused, Problem) as refused:
        return render(request, "checks/tried.html", {"problems": [str(refused)], "dialog": dialog})
    phases = (
        [(label, seen["phases"][name] or 0.0) for label, name in zip(PHASE_LABELS, PHASES, strict=True)]
        if seen["phases"]
        else []
    )
    context = {
        "now": clock.now(),
        "seen": seen,
        "phases": phases,
        "bar": phases_bar(phases) if phases else "",
        "facts": sorted(seen["facts"].items())[:12],
        "tone": {"up": "ok", "degraded": "warn"}.get(seen["health"], "bad"),
        "dialog": dialog,
    }
    return render(request, "checks/tried.html", context)


@needs(MAINTENANCE_EDIT, "POST")
def pause(request: HttpRequest, check_id: int) -> HttpResponseBase:
    """Pause (`paused=1`) or resume a check."""
    check = _check(check_id)
    paused = request.POST.get("paused") == "1"
    actions.pause(check, actor_of(request), clock.now(), paused=paused)
    text = f"{check} is paused: neither probed nor paged." if paused else f"{check} is watched again."
    return done(request, text, reverse("check", args=[check.pk]))


@needs(CHECKS_EDIT, "POST")
def remove(request: HttpRequest, check_id: int) -> HttpResponseBase:
    """Remove a check with its results; the journal keeps its facts."""
    check = _check(check_id)
    name = str(check)
    return attempt(
        request,
        lambda: actions.remove_check(check, actor_of(request), clock.now()),
        f"{name} was removed.",
        reverse("checks"),
        back=reverse("check", args=[check_id]),
    )
