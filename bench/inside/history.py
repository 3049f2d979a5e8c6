"""Gives a configured, empty installation a past, by bulk inserts: `python -m bench.inside.history ALERTS ENTRIES`.

Alerts lie evenly over `DAYS`; each has its downtime, its two deliveries and seven journal entries, as the program
would have written them. Entries of other kinds fill the journal up; then all of it is sealed.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models, transaction

import bench.inside  # noqa: F401  # sets Django up
from mainstay.foundation.accounts.actions import create_user
from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor, program
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.kinds import KINDS
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.seal import seal_once
from mainstay.foundation.journal.stored import facts_text, mark_of
from mainstay.foundation.store import insert, moment
from mainstay.observe.checks.models import Check, CheckState, Downtime, Hour, Result
from mainstay.observe.checks.runtime.commit import RESULT_COLUMNS
from mainstay.respond.alerts.models import Alert
from mainstay.respond.delivery.message import ALERT, AlertPart, Event, Message
from mainstay.respond.delivery.models import Attempt, Channel, Delivery

DAYS = 90
LASTS = timedelta(minutes=10)
AT_ONCE = 20_000
PEOPLE = 20
RESULTS_OF_ALL = timedelta(hours=1)
RESULTS_OF_SOME, SOME = timedelta(hours=47), 20
DOWN = "/down/"  # in the target of a check: it is down, and its alert open
MONITOR, ALERTS, WORKER = program("monitor"), program("alerts"), program("worker")
REFUSED = "127.0.0.1 answered 500; expected 200."
STEPS = [
    ["is it over?", True, "no"],
    ["has somebody acknowledged it?", True, "no"],
    ["does a route match?", True, "critical"],
]


@dataclass(frozen=True, slots=True)
class Told:
    """A check as facts name it."""

    id: int
    name: str
    application: int
    application_name: str
    down: bool


def main() -> None:
    """Fill the database that the environment names."""
    alerts, entries = int(sys.argv[1]), int(sys.argv[2])
    at = now()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous=OFF")  # it is made anew if the machine fails meanwhile
    for number in range(PEOPLE):
        create_user(
            f"person-{number}@example.com", list(Role)[number % len(Role)], f"Person {number}", COMMAND_LINE, at
        )
    checks = [
        Told(row[0], f"{row[2]}/{row[1]}", row[3], row[2], DOWN in row[4])
        for row in Check.objects.order_by("id").values_list(
            "id", "name", "application__name", "application_id", "target"
        )
    ]
    _states(checks, at)
    _results(checks, at)
    _past(checks, alerts, entries, at)
    while seal_once(now()):
        pass
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _put(model: type[models.Model], columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    part: list[tuple[Any, ...]] = []
    for row in rows:
        part.append(row)
        if len(part) == AT_ONCE:
            with transaction.atomic():
                insert(model, columns, part)
            part = []
    with transaction.atomic():
        insert(model, columns, part)


def _states(checks: list[Told], at: datetime) -> None:
    begun = at - timedelta(days=DAYS)
    Check.objects.update(created_at=begun)
    CheckState.objects.update(
        health="up", since=begun, successes=20, answers=20, first_at=begun, last_at=at, last_health="up",
        last_duration_s=0.012, last_code=200, changes=1,
    )  # fmt: skip
    down = [check.id for check in checks if check.down]
    CheckState.objects.filter(pk__in=down).update(
        health="down", message=REFUSED, failures=20, warnings=20, successes=0, answers=0, history=2**20 - 1,
        since=at - LASTS, first_bad_at=at - LASTS, last_health="down", last_message=REFUSED, last_code=500,
    )  # fmt: skip


def _results(checks: list[Told], at: datetime) -> None:
    def results() -> Iterator[tuple[Any, ...]]:
        for number, check in enumerate(checks):
            minutes = int((RESULTS_OF_SOME if number < SOME else RESULTS_OF_ALL).total_seconds() // 60)
            for minute in range(minutes, 0, -1):
                took = 0.01 + (minute * 7919 + check.id) % 97 / 1000
                when = at - timedelta(minutes=minute, seconds=check.id % 60)
                bad = check.down and minute <= LASTS.total_seconds() / 60
                yield (
                    check.id, moment(when), "down" if bad else "up", took, 0.0, took / 10, None, took / 2, took / 10,
                    500 if bad else 200, REFUSED if bad else "",
                )  # fmt: skip

    def hours() -> Iterator[tuple[Any, ...]]:
        this = at.replace(minute=0, second=0, microsecond=0)
        for number, check in enumerate(checks):
            for hour in range(1, (DAYS * 24 if number < SOME else 48) + 1):
                yield check.id, moment(this - timedelta(hours=hour)), 60, 0, 3.3, 0.107

    _put(Result, RESULT_COLUMNS, results())
    _put(Hour, ("check_ref_id", "hour", "results", "bad", "duration_sum_s", "duration_max_s"), hours())


def _past(checks: list[Told], alerts: int, entries: int, at: datetime) -> None:
    down = [check for check in checks if check.down]
    begin = at - timedelta(days=DAYS)
    step = (at - LASTS - begin) / alerts
    channel = Channel.objects.order_by("id")[0]

    def life(number: int) -> tuple[Told, datetime, datetime | None]:
        """Return check, start and end of an alert; the last ones are open, of the checks that are down."""
        left = alerts - number
        if left <= len(down):
            return down[-left], at - LASTS, None
        return checks[number * 7919 % len(checks)], begin + number * step, begin + number * step + LASTS

    def alert_rows() -> Iterator[tuple[Any, ...]]:
        for number in range(alerts):
            check, start, end = life(number)
            labels = {
                "application": check.application_name,
                "check": check.name.partition("/")[2],
                "severity": "critical",
            }
            yield (
                number + 1, f"check:{check.id}", check.id, check.application, "production", f"{check.name} is down",
                "critical", REFUSED, json.dumps(labels), "", moment(start), moment(end), None, "", "", moment(start),
                "critical", json.dumps([channel.name]), "first_page", "the first page of this alert", None,
            )  # fmt: skip

    def downtimes() -> Iterator[tuple[Any, ...]]:
        for number in range(alerts):
            check, start, end = life(number)
            yield check.id, check.application, "down", moment(start), moment(end)

    def deliveries() -> Iterator[tuple[Any, ...]]:
        for number in range(alerts):
            check, start, end = life(number)
            for event, when in (("trigger", start), ("resolve", end)):
                if when is not None:
                    yield (
                        number * 2 + (2 if event == "resolve" else 1), channel.pk, channel.name, event,
                        f"mainstay-bench-alert-{number + 1}", f"bench-{number}-{event}",
                        _message(check, event, start, end), f"alert:{number + 1}", f"{check.name} is down",
                        check.application, "[]", "delivered", moment(when), moment(when), 1, None, None,
                        moment(when + timedelta(seconds=0.2)), "200 OK",
                    )  # fmt: skip

    def attempts() -> Iterator[tuple[Any, ...]]:
        for number in range(alerts):
            _, start, end = life(number)
            for place, when in enumerate((start, end)):
                if when is not None:
                    yield number * 2 + 1 + place, moment(when), 0.02, "delivered", "200 OK"

    _put(
        Alert,
        (
            "id", "source", "check_ref_id", "application_id", "environment", "name", "severity", "summary", "labels",
            "runbook", "started_at", "ended_at", "acknowledged_at", "acknowledged_by", "note", "paged_at",
            "paged_severity", "paged_channels", "decision", "reason", "look_at",
        ),
        alert_rows(),
    )  # fmt: skip
    _put(Downtime, ("check_ref_id", "application_id", "health", "started_at", "ended_at"), downtimes())
    _put(
        Delivery,
        (
            "id", "channel_id", "channel_name", "event", "thread", "key", "message", "subject", "subject_name",
            "application", "fallback", "status", "created_at", "due_at", "attempts", "claimed_by", "claimed_until",
            "delivered_at", "answer",
        ),
        deliveries(),
    )  # fmt: skip
    _put(Attempt, ("delivery_id", "at", "duration_s", "outcome", "answer"), attempts())
    columns = ("at", "kind", "subject", "subject_name", "application", "actor", "actor_name", "facts", "mark")
    _put(Entry, columns, _entries(checks, life, alerts, entries, channel.name))


def _message(check: Told, event: str, start: datetime, end: datetime | None) -> str:
    return Message(
        kind=ALERT, title=f"{check.name} is down", text=REFUSED, urgency="critical", thread="bench", at=start,
        alert=AlertPart(
            event=Event(event), application=check.application_name, environment="production",
            labels={"check": check.name}, annotations={}, ends_at=end if event == "resolve" else None,
            url="http://127.0.0.1/alerts/",
        ),
    ).to_json()  # fmt: skip


Life = Callable[[int], tuple[Told, datetime, datetime | None]]


def _entries(checks: list[Told], life: Life, alerts: int, entries: int, channel: str) -> Iterator[tuple[Any, ...]]:
    """Yield as many entries as the journal lacks, oldest first as far as alerts overlap."""
    missing = entries - Entry.objects.count()
    others = max(0, missing - 7 * alerts)  # a few more or less than `entries` in all: open alerts have no end yet
    person = Actor(key="user:2", name="Person 0", role=Role.SUPPORT)
    given = 0
    overlap = max(1, int(alerts * LASTS / timedelta(days=DAYS)))
    for number in range(alerts + overlap):
        if number < alerts:
            check, start, _ = life(number)
            yield from _began(check, number, start, channel)
            while given * alerts < others * (number + 1):
                yield _entry("check.edited", check, f"check:{check.id}", start, person, fields=["every", "severity"])
                given += 1
        if number >= overlap:
            check, _, end = life(number - overlap)
            if end is not None:
                yield from _ended(check, number - overlap, end, channel)


def _began(check: Told, number: int, at: datetime, channel: str) -> Iterator[tuple[Any, ...]]:
    about = f"alert:{number + 1}"
    yield _entry(
        "check.changed", check, f"check:{check.id}", at, MONITOR,
        was="up", health="down", message=REFUSED, first_bad_at=at.isoformat(),
    )  # fmt: skip
    yield _entry("alert.fired", check, about, at, ALERTS, severity="critical", summary=REFUSED)
    yield _entry(
        "alert.paged", check, about, at, ALERTS,
        event="trigger", channels=[channel], reason="The first page of this alert", code="first_page", steps=STEPS,
    )  # fmt: skip
    yield _entry(
        "page.delivered", check, about, at, WORKER,
        event="trigger", channel=channel, seconds=0.2, attempt=1, delivery=number * 2 + 1,
    )  # fmt: skip


def _ended(check: Told, number: int, at: datetime, channel: str) -> Iterator[tuple[Any, ...]]:
    about = f"alert:{number + 1}"
    yield _entry(
        "check.changed", check, f"check:{check.id}", at, MONITOR, was="down", health="up", message="", first_bad_at=None
    )
    yield _entry("alert.resolved", check, about, at, ALERTS, minutes=10.0, reason="the check is up again")
    yield _entry(
        "page.delivered", check, about, at, WORKER,
        event="resolve", channel=channel, seconds=0.2, attempt=1, delivery=number * 2 + 2,
    )  # fmt: skip


def _entry(kind: str, check: Told, subject: str, at: datetime, actor: Actor, **facts: Any) -> tuple[Any, ...]:
    KINDS[kind].check(facts)
    name = check.name if subject.startswith("check:") else f"{check.name} is down"
    texts = (kind, subject, name, check.application, actor.key, actor.name, facts_text(facts))
    return moment(at), *texts, mark_of(at, *texts)


if __name__ == "__main__":
    main()
