"""The list of rules, and one rule: does it fire, why or why not, and what to do."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.pages.lines import line
from mainstay.kit import charts
from mainstay.kit.lists import Wanted, columns, export, ids_in, page_number, pages_beside
from mainstay.kit.live import live
from mainstay.kit.nav import trail
from mainstay.kit.scales import quantity
from mainstay.observe.checks.wing import CHECKS_EDIT
from mainstay.observe.metrics.durations import written
from mainstay.observe.metrics.pages.explore import automatic_step
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.pages.check_alerts import marks
from mainstay.respond.rules.alerting import rule_of
from mainstay.respond.rules.models import Instance, Rule
from mainstay.respond.rules.pages import drawing, listing
from mainstay.respond.rules.pages.drawing import Course, Watched
from mainstay.respond.rules.pages.listing import Row

RANGES = {"1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
DEFAULT_RANGE = "6h"
INSTANCES_SHOWN, ENTRIES_SHOWN, ALERTS_SHOWN = 100, 20, 8
SAID_FIRST = ("summary", "description", "cause", "first_step", "runbook_url")
COLUMNS = columns(
    "id group name kind state firing pending health=known_health reason=why expr for_s severity every_s "
    "evaluated_at duration_s results managed_by"
)


@needs(OPERATIONS_VIEW, "GET")
def rules(request: HttpRequest) -> HttpResponseBase:
    """List rules by group, those in front in which something fires; or export them."""
    now = clock.now()
    wanted = Wanted(request)
    text = wanted.search("Name, group or expression")
    state = wanted.choose("state", "Any state", listing.STATE_WORDS.items(), known=True)
    group = wanted.choose("group", "Any group", listing.group_names())
    found = listing.rows(listing.matching(text, group), now)
    whole = listing.headline(found, filtered=bool(wanted))
    if state:
        found = [row for row in found if row.state == state]
        whole = listing.headline(found, filtered=True)
    file = export(request, "rules", COLUMNS, found)
    if file is not None:
        return file
    ordered = listing.gravest_group_first(found)
    number = page_number(request)
    shown = ordered[(number - 1) * listing.PAGE : number * listing.PAGE]
    may_edit = actor_of(request).may(CHECKS_EDIT)
    context: dict[str, Any] = {
        "title": whole,
        "sub": listing.counted(found),
        "groups": _grouped(shown),
        "shown": len(shown),
        "total": len(found),
        **pages_beside(request, number, more=len(found) > number * listing.PAGE),
        "filtered": bool(wanted),
        "may_edit": may_edit,
        "spark_query": "&".join(f"rule={row.id}" for row in shown),
        "filters": wanted.filters,
    }
    return live(request, "rules/list.html", context)


def _grouped(shown: Sequence[Row]) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = []
    for row in shown:
        if not groups or groups[-1]["id"] != row.group_id:
            groups.append(
                {
                    "id": row.group_id,
                    "name": row.group,
                    "every_s": row.every_s,
                    "managed_by": row.managed_by,
                    "rows": [],
                }
            )
        groups[-1]["rows"].append({"row": row, "spark": drawing.known_spark(row.expr)})
    return groups


@needs(OPERATIONS_VIEW, "GET")
def sparks(request: HttpRequest) -> HttpResponse:
    """Return the small courses of the rules in `?rule=`, as many as can be asked in a few seconds, and ask for more."""
    given = ids_in(request.GET.getlist("rule")[: listing.PAGE])
    pairs = list(Rule.objects.filter(pk__in=given).values_list("pk", "expr"))
    found, away = drawing.sparks([expr for _, expr in pairs], clock.now().timestamp())
    context = {
        "sparks": [{"id": pk, "spark": found[expr]} for pk, expr in pairs if expr in found],
        "rest": "" if away else "&".join(f"rule={pk}" for pk, expr in pairs if expr not in found),
        "all": "&".join(f"rule={pk}" for pk, _ in pairs),
        "away": away,
    }
    return render(request, "rules/sparks.html", context)


# --- one rule -------------------------------------------------------------------------------------------------------


def find_rule(rule_id: int) -> Rule:
    """Return a rule with its group and state, or raise Http404."""
    return get_object_or_404(Rule.objects.select_related("group", "state"), pk=rule_id)


@needs(OPERATIONS_VIEW, "GET")
def rule(request: HttpRequest, rule_id: int) -> HttpResponseBase:
    """Tell one rule: does it fire and why, what its alerts are, what it means and what happened."""
    now = clock.now()
    one = find_rule(rule_id)
    (row,) = listing.rows(Rule.objects.filter(pk=one.pk), now)
    watched = Watched.of(one.expr)
    instances = list(one.instances.order_by("id")[: INSTANCES_SHOWN + 1])
    alerts = list(Alert.objects.filter(source__startswith=f"rule:{one.pk}:").order_by("-pk")[:ALERTS_SHOWN])
    open_alerts = {alert.source.rpartition(":")[2]: alert for alert in alerts if alert.ended_at is None}
    subjects = [f"rule:{one.pk}", f"rules:{one.group_id}", *(f"alert:{alert.pk}" for alert in alerts)]
    entries = Entry.objects.filter(subject__in=subjects).order_by("-pk")[:ENTRIES_SHOWN]
    context: dict[str, Any] = {
        "rule": one,
        "row": row,
        "headline": headline(row),
        "sub": _sub(one, row, watched),
        "instances": [_instance(each, watched, open_alerts) for each in instances[:INSTANCES_SHOWN]],
        "more_instances": len(instances) > INSTANCES_SHOWN,
        "said": [(name, one.annotations[name]) for name in SAID_FIRST if one.annotations.get(name)],
        "said_else": [(n, text) for n, text in sorted(one.annotations.items()) if n not in SAID_FIRST],
        "labels": sorted({**one.group.labels, **one.labels}.items()),
        "for": written(one.for_s) if one.for_s else "",
        "keep": written(one.keep_firing_for_s) if one.keep_firing_for_s else "",
        "alerts": alerts,
        "entries": [line(entry, about=entry.subject == subjects[0]) for entry in entries],
        "course_url": _course_url(request, one),
        "may_edit": actor_of(request).may(CHECKS_EDIT),
        **trail("rules", (f"{reverse('rules')}?group={one.group.name}", one.group.name)),
    }
    return live(request, "rules/rule.html", context, also=("rest",))


def headline(row: Row) -> str:
    """Return the sentence that answers whether a rule fires."""
    if not row.alerts:
        if row.known_health == "ok":
            return f"{row.name} is recorded: {row.results:,} series."
        return {
            "err": f"{row.name} is not recorded: its expression fails.",
            "no_series": f"{row.name} is not recorded: nothing matches its expression.",
        }.get(row.known_health, f"{row.name}: no recent result.")
    if row.firing:
        still = "" if row.known_health == "ok" else ", as far as is known"
        return f"{row.name} fires for {row.firing:,} series{still}."
    if row.pending:
        return f"{row.name} does not fire yet: its condition holds for {row.pending:,} series."
    return {
        "ok": f"{row.name} does not fire.",
        "err": f"{row.name} cannot fire: its expression fails.",
        "no_series": f"{row.name} cannot fire: nothing matches its expression.",
    }.get(row.known_health, f"{row.name}: no recent result.")


def _sub(one: Rule, row: Row, watched: Watched) -> str:
    if not one.alerts:
        return f"Recorded every {written(row.every_s)}"
    held = f" for {written(one.for_s)}" if one.for_s else ""
    return (
        f"Fires {watched.limit_words}{held}" if watched.comparison else f"Fires when its expression gives series{held}"
    )


def _instance(one: Instance, watched: Watched, alerts: Mapping[str, Alert]) -> dict[str, Any]:
    value = one.value
    return {
        "state": one.state,
        "labels": [(name, text) for name, text in sorted(one.labels.items()) if name not in {"alertname"}],
        "value": quantity(value * watched.unit.factor, watched.unit.shown) if value is not None else "no number",
        "since": one.since,
        "summary": one.annotations.get("summary", ""),
        "alert": alerts.get(one.fingerprint),
    }


def _course_url(request: HttpRequest, one: Rule) -> str:
    name = request.GET.get("range", "")
    return reverse("rule_course", args=[one.pk]) + (f"?range={name}" if name in RANGES else "")


@needs(OPERATIONS_VIEW, "GET")
def course(request: HttpRequest, rule_id: int) -> HttpResponseBase:
    """Draw a rule's value over a range against its threshold, with the times in which it fired."""
    now = clock.now()
    one = find_rule(rule_id)
    name = request.GET.get("range", "")
    name = name if name in RANGES else DEFAULT_RANGE
    step = automatic_step(RANGES[name])
    end = float(int(now.timestamp()))
    start = end - RANGES[name]
    found = drawing.course(
        one.expr, start, end, step, zone(), for_s=one.for_s if one.alerts else 0,
        shaded=_shaded(one, now, timedelta(seconds=RANGES[name])),
    )  # fmt: skip
    counts = {state: one.instances.filter(state=state).count() for state in ("firing", "pending")}
    context = {
        "course": found,
        "rule": one,
        "because": drawing.because(one.expr, found, for_s=one.for_s, **counts) if one.alerts else "",
        "text": Watched.of(one.expr).text,
        "ranges": [
            {"href": f"{reverse('rule', args=[one.pk])}?range={key}", "label": key, "current": key == name}
            for key in RANGES
        ],
        "name": name,
    }
    return live(request, "rules/course.html", context, part="course")


def zone() -> ZoneInfo:
    """Return the zone of the person who looks."""
    return ZoneInfo(timezone.get_current_timezone_name())


def _shaded(one: Rule, now: datetime, length: timedelta) -> list[charts.Interval]:
    """Return when alerts of this rule were open, and since when it is pending."""
    begin = now - length
    over = Q(ended_at=None) | Q(ended_at__gte=begin)
    alerts = Alert.objects.filter(over, source__startswith=f"rule:{one.pk}:").order_by("-pk")[:100]
    shaded = [
        charts.Interval(alert.started_at.timestamp(), (alert.ended_at or now).timestamp(), "firing") for alert in alerts
    ]
    for instance in one.instances.filter(state="pending")[:20]:
        shaded.insert(0, charts.Interval(instance.since.timestamp(), now.timestamp(), "pending", "warn"))
    return shaded


# --- the alerts that rules raise ------------------------------------------------------------------------------------

_LEAD_LEAST, _LEAD_MOST, _AROUND_MOST = timedelta(minutes=20), timedelta(hours=2), timedelta(hours=24)


@needs(OPERATIONS_VIEW, "GET")
def alert_course(request: HttpRequest, raised_id: int) -> HttpResponseBase:
    """Draw a rule's value around one of its alerts: what it was when it fired, what it is now."""
    now = clock.now()
    alert = get_object_or_404(Alert, pk=raised_id, source__startswith="rule:")
    one = Rule.objects.filter(pk=rule_of(alert.source) or 0).first()
    context: dict[str, Any] = {"rule": one}
    if one is None:
        context |= {"because": "The rule is not there any more.", "course": drawing.Course(mark_safe(""))}
        return live(request, "rules/course.html", context, part="course")
    held = timedelta(seconds=one.for_s)
    lead = max(_LEAD_LEAST, min(_LEAD_MOST, 3 * held))
    begin = alert.started_at - held - lead
    end = min(now, (alert.ended_at or now) + lead / 2, begin + _AROUND_MOST)
    step = automatic_step((end - begin).total_seconds())
    start, until = float(int(begin.timestamp())), float(int(end.timestamp()))
    found = drawing.course(
        one.expr, start, until, step, zone(), for_s=one.for_s,
        shaded=[
            charts.Interval((alert.started_at - held).timestamp(), alert.started_at.timestamp(), "pending", "warn"),
            charts.Interval(alert.started_at.timestamp(), (alert.ended_at or now).timestamp(), "firing"),
        ],
        marks=marks(alert),
        narrow_to=lambda curve: _is_of(curve.labels, alert.labels),
        height=180,
    )  # fmt: skip
    context |= {
        "course": found,
        "because": _told_of(alert, found, Watched.of(one.expr), one),
        "text": Watched.of(one.expr).text,
        "from": datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "to": end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return live(request, "rules/course.html", context, part="course")


def _is_of(series: Mapping[str, str], alert: Mapping[str, str]) -> bool:
    """Tell whether an alert may come from a series: the alert has all of its labels but the name."""
    return all(alert.get(name) == text for name, text in series.items() if name != "__name__")


def _told_of(alert: Alert, found: Course, watched: Watched, one: Rule) -> str:
    """Say the value when it fired and now, or at the end."""
    if found.away or found.problem or not found.lines:
        return ""
    points = found.lines[0].points
    fired = next((value for at, value in points if at >= alert.started_at.timestamp()), None)
    last = points[-1][1]
    held = f" for {written(one.for_s)}" if one.for_s else ""
    parts = []
    if fired is not None:
        parts.append(f"{quantity(fired, watched.unit.shown)} when it fired")
    parts.append(f"{quantity(last, watched.unit.shown)} {'at last' if alert.ended_at is not None else 'now'}")
    limit = f"; it fires {watched.limit_words}{held}" if watched.comparison is not None else ""
    return f"{', '.join(parts)}{limit}."
