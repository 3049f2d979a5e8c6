"""What a group's message says: how many alerts, how grave, the first of them by name, and where all are listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mainstay.foundation.words.names import SEVERITIES
from mainstay.respond.delivery.message import ALERT, AlertPart, Event, Message
from mainstay.respond.delivery.sending.grouping import SINGLY_MOST

CARRIED_MOST = 100
"""Alerts in one message; the rest is counted."""
NAMED_MOST = 20
"""Alerts that its text names."""
CARRIED_BYTES = 96_000  # what is above 100 kB many receivers do not take unless told to
TEXT_MOST = 500
_EVENTS = {"open": Event.TRIGGER, "acknowledged": Event.ACKNOWLEDGE, "over": Event.RESOLVE}


@dataclass(frozen=True, slots=True)
class Carried:
    """One alert as it joined: the page that was stored for it, its state since, and when it was over."""

    stored: str
    state: str
    ended_at: datetime | None


def group_message(
    event: Event,
    carried: Sequence[Carried],
    counts: Mapping[tuple[str, str], int],
    *,
    channel: str,
    url: str,
    dedup_key: str,
    first: bool,
    created_at: datetime,
) -> Message:
    """Return the message of a group.

    Args:
        carried: its alerts, what lasts first, the most severe first.
        counts: (state, severity) → number of all its alerts.
        first: nothing was sent of this group before.
    """
    alerts = _alerts(carried)
    total = sum(counts.values())
    live = sum(number for (state, _), number in counts.items() if state != "over")
    had = sum(number for (state, _), number in counts.items() if state == "acknowledged")
    told = {key: number for key, number in counts.items() if not live or key[0] != "over"}
    by_severity = {name: sum(n for (_, severity), n in told.items() if severity == name) for name in SEVERITIES}
    worst = next((name for name in SEVERITIES if by_severity[name]), "minor")
    over = total - live
    if not total:
        title = "Every alert of this group is sent by itself now"
    elif not live:
        title = (
            f"{_number(total, 'alert')} fired and {_was(total)} over before {_it(total)} could be sent"
            if first
            else f"{_number(total, 'alert')} of this group {_is(total)} over"
        )
    elif had == live:
        title = f"{_number(live, 'alert')} {_is(live)} acknowledged"
    else:
        title = f"{_number(live, 'alert')} {_is(live)} firing"
    parts = [alert.alert for alert in alerts if alert.alert is not None]
    applications = {part.application for part in parts}
    application = applications.pop() if len(applications) == 1 and len(alerts) == total else ""
    lines = [", ".join(f"{by_severity[name]:,} {name}" for name in SEVERITIES if by_severity[name])]
    if live and had:
        lines[0] += f"; {had:,} acknowledged"
    if live and over:
        lines[0] += f"; {over:,} more {_is(over)} over"
    named = [alert for alert in alerts if not live or alert.event != Event.RESOLVE][:NAMED_MOST]
    ended = "" if live else ", over"
    lines += [f"{alert.urgency}{ended}: {alert.title[:200]}" for alert in named]
    rest = (live or total) - len(named)
    if rest:
        lines.append(f"and {rest:,} more: {url}")
    return Message(
        kind=ALERT,
        title=f"{application}: {title}" if application else title,
        text="\n".join(lines),
        urgency=worst,
        thread=dedup_key,
        at=min((alert.at for alert in alerts), default=created_at),
        reason=f"More than {SINGLY_MOST} pages were waiting for {channel}, so one message tells them.",
        alert=AlertPart(
            event=event,
            application=application,
            environment="",
            labels=_common(part.labels for part in parts) if len(alerts) == total else {},
            annotations={},
            ends_at=max((row.ended_at for row in carried if row.ended_at), default=None) if not live else None,
            url=url,
            alerts=alerts,
            more=total - len(alerts),
        ),
    )


def _alerts(carried: Sequence[Carried]) -> tuple[Message, ...]:
    """Read the alerts, as many as one body may hold; one that cannot be read is counted like those left out."""
    found: list[Message] = []
    size = 0
    for row in carried[:CARRIED_MOST]:
        try:
            page = Message.from_json(row.stored)
        except ValueError:
            continue
        if page.alert is None:
            continue
        alert = replace(page, text=page.text[:TEXT_MOST]).of_alert(
            event=_EVENTS[row.state],
            annotations={name: value[:TEXT_MOST] for name, value in sorted(page.alert.annotations.items())[:20]},
            ends_at=row.ended_at,
            acknowledge_url=None,
            alerts=(),
            more=0,
        )
        size += len(alert.to_json())
        if size > CARRIED_BYTES and found:
            break
        found.append(alert)
    return tuple(found)


def _common(pairs: Any) -> dict[str, str]:
    first, *others = [dict(each) for each in pairs] or [{}]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _it(number: int) -> str:
    return "it" if number == 1 else "they"
