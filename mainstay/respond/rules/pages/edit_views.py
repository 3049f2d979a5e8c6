"""Writing, previewing, editing and removing rules."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import needs
from mainstay.foundation.held import held
from mainstay.foundation.refusal import Gone
from mainstay.foundation.resource import By
from mainstay.kit import charts, rows
from mainstay.kit.editing import Editing
from mainstay.kit.forms import Form
from mainstay.kit.replies import posted
from mainstay.kit.scales import quantity
from mainstay.observe.checks.wing import CHECKS_EDIT
from mainstay.observe.metrics.client import BadQuery, MetricsAway, Sample
from mainstay.observe.metrics.durations import written
from mainstay.observe.metrics.pages import asking
from mainstay.observe.metrics.pages.explore import in_common, name_of, problem_of
from mainstay.respond.rules import actions
from mainstay.respond.rules.models import Rule
from mainstay.respond.rules.pages import drawing, preview
from mainstay.respond.rules.pages.drawing import Watched
from mainstay.respond.rules.pages.forms import NEW_GROUP, RuleForm, place_of
from mainstay.respond.rules.pages.views import find_rule, zone
from mainstay.respond.rules.resource import RULE_GROUPS
from mainstay.respond.rules.spec import RuleSpec

GIVES_SHOWN = 5
DEFAULT_REPLAY = "24h"


class RulePages(Editing[Rule]):
    """Rules, each a part of its group; the group goes with its last one, and alerts that it raised are resolved."""

    resource, permission, model = RULE_GROUPS, CHECKS_EDIT, Rule
    kind, place, page, by, template = "rule", "rules", "rule", "pk", "rules/edit.html"

    def find(self, key: int) -> Rule:
        return find_rule(key)

    def form_of(self, request: HttpRequest, row: Rule | None, **given: str) -> RuleForm:
        expr, group = request.GET.get("expr", "")[:20_000], request.GET.get("group", "")[:200]
        form = RuleForm(posted(request), rule=row, expr=expr, group=group)
        form.fields["expr"].widget.attrs["data-completes"] = reverse("explore_complete")
        return form

    def anew(self, request: HttpRequest, row: Rule) -> None:
        return None  # its group would have to be read

    def put(self, form: RuleForm, row: Rule | None, by: By) -> Rule:
        with transaction.atomic():  # what the group says is read and written without anybody between
            if row is not None:
                row.group = held(row.group, f"The rules {row.group.name}")
                if not row.group.rules.filter(pk=row.pk).exists():
                    raise Gone(f"The rule {row.name}")
            group, spec, index = form.target()
            kept = actions.put_group(spec, by.actor, by.at, existing=group)
        return kept.rules.order_by("position", "id")[index]

    def remove(self, row: Rule, by: By) -> None:
        with transaction.atomic():
            group = held(row.group, f"The rules {row.group.name}")
            if not group.rules.filter(pk=row.pk).exists():
                raise Gone(f"The rule {row.name}")
            if group.rules.count() == 1:
                actions.remove_group(group, by.actor, by.at)
                return
            spec, index = actions.spec_of(group), place_of(row)
            left = [one for place, one in enumerate(spec.rules) if place != index]
            actions.put_group(spec.model_copy(update={"rules": left}), by.actor, by.at, existing=group)

    def said(self, kept: Rule, *, new: bool) -> str:
        return f"{kept.name} is evaluated from now on." if new else super().said(kept, new=new)

    def context(self, request: HttpRequest, row: Rule | None, form: Form) -> dict[str, Any]:
        return {
            "managed_by": row.group.managed_by if row is not None else "",
            "only_one": row is not None and row.group.rules.count() == 1,
            "replays": list(preview.RANGES_S),
            "replay": DEFAULT_REPLAY,
            "new_group": NEW_GROUP,
        }


RULE = RulePages()


# --- the preview ----------------------------------------------------------------------------------------------------


@needs(CHECKS_EDIT, "POST")
def show_preview(request: HttpRequest) -> HttpResponse:
    """Tell what the rule in the form gives now and what it would have done; answers a fragment, saves nothing."""
    name = request.POST.get("replay", "")
    name = name if name in preview.RANGES_S else DEFAULT_REPLAY
    expr = request.POST.get("expr", "").replace("\0", "").strip()[:20_000]
    context: dict[str, Any] = {"now": clock.now()}
    if not expr:
        return _fragment(request, context | {"nothing": True})
    form = RuleForm(request.POST)
    form.is_valid()
    spec = form.spec or _roughly(expr, request.POST)
    try:
        context |= _now(expr, alerts=spec.alert is not None)
        if spec.alert is not None:
            context |= _replayed(spec, name)
    except MetricsAway as error:
        context["away"] = str(error)
    except BadQuery as error:
        context["problem"] = problem_of(str(error), expr)
    return _fragment(request, context)


def _roughly(expr: str, given: Any) -> RuleSpec:
    """Return the rule as far as it is written: while a name is missing, the expression can be tried."""
    kind = "record" if given.get("kind") == "record" else "alert"
    found: dict[str, Any] = {kind: "preview", "expr": expr}
    if kind == "alert":
        for name in ("for", "keep_firing_for"):
            text = given.get("for_" if name == "for" else name, "").strip()
            try:
                RuleSpec.model_validate({**found, name: text or 0})
            except ValueError:
                continue
            found[name] = text or 0
    return RuleSpec.model_validate(found)


def _fragment(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return render(request, "rules/preview.html", context)


def _now(expr: str, *, alerts: bool) -> dict[str, Any]:
    """Return what the expression gives at this moment."""
    watched = Watched.of(expr)
    samples = asking.client().query(expr)
    factor, unit = watched.unit.factor, watched.unit.shown
    shown = samples[:GIVES_SHOWN]
    common = in_common([one.labels for one in shown])
    always = alerts and bool(samples) and watched.comparison is None and not _filters(expr)
    return {
        "gives": [_given(one, common, factor, unit) for one in shown],
        "count": len(samples),
        "more": len(samples) - len(shown),
        "alerts": alerts,
        "always": always,
    }


def _filters(expr: str) -> bool:
    """Tell whether an expression without a comparison with a limit may still give nothing when all is well."""
    return any(word in expr for word in ("absent", " unless ", " and ", "==", "!=", "<", ">"))


def _given(one: Sample, common: dict[str, str], factor: float, unit: str) -> dict[str, Any]:
    metric, own = name_of(one.labels, common, "value")
    value = quantity(one.value * factor, unit) if one.value - one.value == 0 else str(one.value)
    return {"metric": metric, "labels": own, "value": value}


def _replayed(spec: RuleSpec, name: str) -> dict[str, Any]:
    try:
        found = preview.replay(spec, name, clock.now().timestamp())
    except BadQuery as error:
        return {"no_replay": str(error)}
    shaded = [
        *(charts.Interval(one.start, one.end, "pending", "warn") for one in found.gone.pending),
        *(charts.Interval(one.start, one.end, "firing") for one in found.gone.firing),
    ]
    course = drawing.drawn(
        found.watched, found.lines, found.total, found.start, found.end, found.lines_step_s, zone(),
        for_s=spec.for_, shaded=shaded,
    )  # fmt: skip
    return {
        "replayed": found,
        "course": course,
        "sentence": sentence(found),
        "cancelled": found.gone.cancelled,
        "for": written(spec.for_),
        "step": rows.write_duration(found.step_s),
        "since": found.since,
    }


def sentence(found: preview.Replayed) -> str:
    """Say what the rule would have done."""
    gone = found.gone
    if not gone.fired:
        return f"It would not have paged in {found.words}."
    times = "once" if gone.fired == 1 else "twice" if gone.fired == 2 else f"{gone.fired:,} times"
    lasted = f"{rows.write_duration(gone.firing_s)} in all" if gone.firing_s else "just now"
    return f"It would have paged {times} in {found.words}, {lasted}."
