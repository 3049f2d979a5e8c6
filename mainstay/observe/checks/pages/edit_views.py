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
from mainstay.foundation.resource import By
from mainstay.foundation.secrets import LostKey
from mainstay.kit.editing import Editing
from mainstay.kit.lists import id_in
from mainstay.kit.nav import trail
from mainstay.kit.replies import done, posted
from mainstay.observe.checks import actions
from mainstay.observe.checks.api.trying import try_once
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages.drawing import phases_bar
from mainstay.observe.checks.pages.forms import CheckForm
from mainstay.observe.checks.resource import CHECKS
from mainstay.observe.checks.spec import Common
from mainstay.observe.checks.uptime.latency import PHASE_LABELS, PHASES
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT


def _check(check_id: int) -> Check:
    found = Check.objects.select_related("application", "environment", "component", "state")
    return get_object_or_404(found, pk=check_id)


class CheckPages(Editing[Check]):
    """Checks: first the application and the kind, then what the kind needs."""

    resource, permission, model = CHECKS, CHECKS_EDIT, Check
    place, page, by, template = "checks", "check", "pk", "checks/edit.html"

    def find(self, key: int) -> Check:
        return _check(key)

    def add(self, request: HttpRequest, /, **given: str) -> HttpResponseBase:
        names = list(Application.objects.order_by("name").values_list("name", flat=True))
        asked = request.POST if request.method == "POST" else request.GET
        kind = asked.get("kind", "http") if asked.get("kind", "http") in KINDS else "http"
        wanted = asked.get("application", "")
        application = Application.objects.filter(name=wanted if wanted in names else (names or [""])[0]).first()
        if application is None:
            return render(request, self.template, {**trail(self.place), "check": None})
        return self.answer(request, None, CheckForm(kind, application, posted(request), names=names))

    def change(self, request: HttpRequest, /, **key: Any) -> HttpResponseBase:
        check = self.find(*key.values())
        if check.kind not in KINDS:
            context = {"check": check, "application": check.application, "lost_kind": check.kind}
            return render(request, self.template, {**trail(self.place, *self.steps(check)), **context}, status=409)
        return self.answer(request, check, CheckForm(check.kind, check.application, posted(request), check=check))

    def put(self, form: CheckForm, row: Check | None, by: By) -> Check:
        return actions.put_check(form.application, form.spec, by.actor, by.at, existing=row)

    def said(self, kept: Check, *, new: bool) -> str:
        if not new:
            return f"{kept} was saved."
        return f"{kept} is watched from now on." if not kept.paused else f"{kept} was added, paused."

    def context(self, request: HttpRequest, row: Check | None, form: Any) -> dict[str, Any]:
        timing = [form[name] for name in ("every", "timeout", "fail_after", "recover_after") if name in form.fields]
        return {
            "applications": form.names,
            "application": form.application,
            "kinds": [(name, one.label) for name, one in KINDS.items()],
            "kind": form.kind,
            "passive": KINDS[form.kind].passive,
            "timing": timing,
        }


CHECK = CheckPages()


@needs(CHECKS_EDIT, "POST")
def try_it(request: HttpRequest) -> HttpResponseBase:
    """Probe once what the form describes, without saving it; answers a fragment."""
    number = id_in(request.POST.get("check", ""))
    check = _check(number) if number is not None else None
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
