"""The pages of alerts: what is wrong, who has it, and why it paged or did not."""

from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.pages.lines import line
from mainstay.foundation.words.matching import equal
from mainstay.foundation.words.names import SEVERITIES
from mainstay.kit import rows
from mainstay.kit.lists import Wanted, by_key, columns, cursor, export, page_of
from mainstay.kit.live import live
from mainstay.kit.nav import trail
from mainstay.kit.replies import done
from mainstay.respond.alerts import origins
from mainstay.respond.alerts.actions import acknowledge as take
from mainstay.respond.alerts.actions import unacknowledge as give_back
from mainstay.respond.alerts.decide import Code, silenced_by
from mainstay.respond.alerts.models import Alert, Silence
from mainstay.respond.alerts.pages import listing, story
from mainstay.respond.alerts.pages.forms import SilenceForm
from mainstay.respond.alerts.surroundings import silences

NOTE_MOST = 2_000
_SAID = (("first_step", "First step"), ("cause", "Likely cause"))
_SHOWN_ELSEWHERE = {"summary", "description", "first_step", "cause", "runbook_url", "runbook"}
COLUMNS: dict[str, Any] = {
    **columns("id=pk name state severity summary"),
    "application": lambda a: a.labels.get("application", ""),
    **columns(
        "environment started_at ended_at acknowledged_at acknowledged_by note paged_channels decision reason labels"
    ),
}


@needs(OPERATIONS_VIEW, "GET")
def alerts(request: HttpRequest) -> HttpResponseBase:
    """List alerts: the open ones first, then those that are over, newest first."""
    now = clock.now()
    wanted = Wanted(request)
    wanted.search("Name or summary")
    state = wanted.choose("state", "Any state", ("open", *listing.STATES), known=True)
    wanted.choose("severity", "Any severity", SEVERITIES, known=True)
    wanted.choose("application", "Any application", Application.objects.order_by("name").values_list("name", flat=True))
    active = silences(now)
    found = listing.matching(wanted.values, active, now)
    file = export(request, "alerts", COLUMNS, by_key(found))
    if file is not None:
        return file
    paged = cursor(request) != (None, None)
    together = state in {"", "resolved"}
    current = listing.open_first(found) if not paged and state != "resolved" else []
    page = page_of(request, found.filter(ended_at__isnull=False) if together else found) if together or paged else None
    more = len(current) > listing.OPEN_SHOWN
    if more and not together:  # too many to show by gravity: page by age
        page, current = page_of(request, found), []
    title, sub = listing.headline(now, active) if not wanted else (f"{state.capitalize()} alerts", "")
    if wanted and not state:
        title = "Alerts that match"
    past = page.rows if page else []
    context: dict[str, Any] = {
        "title": title,
        "sub": sub,
        "open_rows": listing.table(current[: listing.OPEN_SHOWN], active, now),
        "past_rows": listing.table(past, active, now),
        "past_title": "Over" if together else "",
        "more_open": more and together,
        "open_shown": listing.OPEN_SHOWN,
        "page": page,
        "paged": paged,
        "filtered": bool(wanted),
        "nothing": not current and not past,
        "silences": len(active),
        "filters": wanted.filters,
    }
    return live(request, "alerts/alerts.html", context)


@needs(OPERATIONS_VIEW, "GET")
def alert(request: HttpRequest, alert_id: int) -> HttpResponseBase:
    """Tell one alert: what, since when, who has it, why it paged, whom it reached, what happened."""
    now = clock.now()
    row = _alert(alert_id)
    active = silences(now)
    state = listing.shown_state(row, active, now)
    quiet = silenced_by(row.labels, active, now) if state == "silenced" else None
    decided = story.decisions(row)
    origin = origins.shown(row)
    over = row.ended_at is not None
    zone = ZoneInfo(timezone.get_current_timezone_name())
    named = [row.application.name] if row.application is not None else []
    context: dict[str, Any] = {
        "alert": row,
        "state": state,
        "silence": Silence.objects.filter(pk=quiet.id).first() if quiet else None,
        "over": over,
        "title": _title(row),
        "lasted": rows.write_duration((row.ended_at - row.started_at).total_seconds()) if row.ended_at else "",
        "decisions": decided,
        "paged": any(entry.channels for entry in decided) or bool(row.paged_channels),
        "would": None if over else story.deciding_now(row, now),
        "deliveries": story.deliveries(row),
        "entries": [line(entry, about=True) | {"at": timezone.localtime(entry.at)} for entry in story.entries(row)],
        "origin": origins.of(row).word,
        "origin_facts": origin.facts(row),
        "chart_url": origin.chart(row),
        "drawing": mark_safe(origin.drawing(row, now, zone)),  # noqa: S308 - charts escape
        "can_respond": actor_of(request).may(ALERTS_RESPOND),
        "acknowledge_url": reverse("alert_acknowledge", args=[row.pk]),
        "labels": [(equal(name, value), origin.telling(name)) for name, value in row.labels.items()],
        "said": [(name, title, row.annotations[name]) for name, title in _SAID if row.annotations.get(name)],
        "annotations": [(n, text) for n, text in sorted(row.annotations.items()) if n not in _SHOWN_ELSEWHERE and text],
        "tone": {"critical": "bad", "major": "warn"}.get(row.severity, "quiet") if not over else "ok",
        **trail("alerts", *((f"{reverse('alerts')}?application={name}", name) for name in named)),
        "silence_form": SilenceForm(auto_id="silence_%s"),
    }
    return live(request, "alerts/alert.html", context, also=("course", "rest"))


def _title(row: Alert) -> str:
    if row.ended_at is not None:
        lasted = rows.write_duration((row.ended_at - row.started_at).total_seconds())
        return f"Over after {lasted}: {row.name}."
    return f"{row.name}."


@needs(ALERTS_RESPOND, "POST")
def acknowledge(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Take an alert, with a note."""
    row = _alert(alert_id)
    note = request.POST.get("note", "").replace("\0", "").strip()[:NOTE_MOST]
    if take(row, actor_of(request), clock.now(), note):
        return done(request, "You have it. Reminders stop, and everyone paged hears so.", _page(row))
    if row.ended_at is not None:
        return done(request, "It is over already: nothing is left to take.", _page(row), tone="warn")
    return done(request, f"{row.acknowledged_by} was faster and has it.", _page(row), tone="warn")


@needs(ALERTS_RESPOND, "POST")
def unacknowledge(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Give an alert back: those who heard that it was taken hear so, and reminders start again."""
    row = _alert(alert_id)
    if give_back(row, actor_of(request), clock.now()):
        told = row.decision in {Code.GIVEN_BACK, Code.FIRST_PAGE}
        text = "those who heard that it was taken are told" if told else f"it does not page now: {row.reason}"
        return done(request, f"Given back. Nobody has it now, and {text}.", _page(row))
    return done(request, "Nobody had it, or it is over: nothing was changed.", _page(row), tone="warn")


def _alert(alert_id: int) -> Alert:
    return get_object_or_404(Alert.objects.select_related(*origins.loads()), pk=alert_id)


def _page(row: Alert) -> str:
    return reverse("alert", args=[row.pk])
