"""The list of checks: filtered and sorted by URL, a thousand rows at once, in a fixed number of queries.

Rows are read as plain values past the ORM's objects; what people see of a check (`decide.shown`) is computed from them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db.models import Case, IntegerField, QuerySet, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from mainstay.kit.lists import with_words
from mainstay.observe.checks import decide
from mainstay.observe.checks.decide import Health, Shown, Status
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.checks.standing import BY_RESULTS, FAILING, MESSAGE, NOT_UP, windows
from mainstay.observe.checks.uptime.instants import NO_TIME, Instant, UnixSeconds, read_instant
from mainstay.observe.checks.windows import Cover, Window, covering, open_until

PAGE = 1_000
COLUMNS = (
    "id", "name", "application_id", "application__name", "environment__name", "component__name", "kind", "target",
    "severity", "labels", "paused", "managed_by", "every_s", "timeout_s", "created_at", "state__health", "state__since",
    "state__message", "state__first_at", "state__last_at", "state__last_duration_s", "state__blocked_by__name",
    "state__blocked_by__application__name", "state__unusable", "fail_after", "state__failures", "state__warnings",
    "state__first_bad_at",
)  # fmt: skip
_TIMES = {"created_at", "state__since", "state__first_at", "state__last_at", "state__first_bad_at"}
_TIME_PLACES = (14, 16, 18, 19, 27)
_READ_AS = {name: Instant(name) for name in _TIMES} | {"state__message": MESSAGE}
QUICK = tuple(_READ_AS.get(name, name) for name in COLUMNS)
LEAN = (
    "id", "name", "application_id", "kind", "severity", "paused", "every_s", "timeout_s", Instant("created_at"),
    "state__health", Instant("state__since"), Instant("state__first_at"), Instant("state__last_at"),
    "state__blocked_by__name", "state__blocked_by__application__name", "state__unusable", "fail_after",
    "state__failures", "state__warnings", Instant("state__first_bad_at"),
)  # fmt: skip
SORTS = {
    "name": ("application__name", "name"),
    "state": ("rank", "application__name", "name"),
    "latency": ("state__last_duration_s", "application__name", "name"),
    "checked": ("state__last_at", "application__name", "name"),
    "severity": ("gravity", "application__name", "name"),
}
SORTED_HERE = {"uptime"}
_RANKS = {"down": 0, "degraded": 1, "unknown": 2, "paused": 3, "up": 4}
_HEALTHS = {health.value: health for health in Health}
_GRAVITY = {"critical": 0, "major": 1, "minor": 2}


class Row(NamedTuple):
    """One check as the list needs it, in the order of `COLUMNS`; a tuple is made four times as fast as a dataclass."""

    id: int
    name: str
    application_id: int
    application: str
    environment: str | None
    component: str | None
    kind: str
    target: str
    severity: str
    labels: dict[str, str]
    paused: bool
    managed_by: str
    every_s: float
    timeout_s: float
    created_at: datetime
    health: str | None
    since: datetime | None
    message: str | None
    first_at: datetime | None
    last_at: datetime | None
    last_duration_s: float | None
    blocker: str | None
    blocker_application: str | None
    unusable: str | None
    fail_after: int
    failures: int | None
    warnings: int | None
    first_bad_at: datetime | None

    @property
    def failing_since(self) -> datetime | None:
        """When the first of its results came, when all were bad and too few to decide."""
        return self.first_bad_at if self.failing else None

    @property
    def failing(self) -> str:
        """How it fares when none of its results was good, and too few came to decide."""
        health = _HEALTHS[self.health or "unknown"]
        return decide.failing(health, self.failures or 0, self.warnings or 0, self.fail_after)

    @property
    def matched(self) -> Mapping[str, str]:
        """The labels as matchers see them (`standing.all_labels`)."""
        return {
            **self.labels,
            "application": self.application,
            "check": self.name,
            "kind": self.kind,
            "severity": self.severity,
            **({"environment": self.environment} if self.environment else {}),
            **({"component": self.component} if self.component else {}),
        }

    def shown(self, open_now: Sequence[Window], now: datetime) -> Shown:
        """Return the status people see. `open_now`: the windows that are open (`open_windows`)."""
        cover: Cover | None = None
        if open_now:
            cover = covering(open_now, self.application_id, self.matched, now)
        passive = self.kind == "heartbeat"
        late = not passive and decide.overdue(
            self.last_at, self.since, self.created_at, self.every_s, self.timeout_s, now
        )
        return decide.shown(
            _HEALTHS[self.health or "unknown"],
            self.message or "",
            since=self.since,
            paused=self.paused,
            maintenance=(cover.window.name, cover.since) if cover else None,
            blocked_by=f"{self.blocker_application}/{self.blocker}" if self.blocker else None,
            late=late,
            unusable=self.unusable or "",
            failing=self.failing,
            failing_since=self.first_bad_at,
        )


class Fared(NamedTuple):
    """One check as far as its uptime is concerned, where no window asks for its labels."""

    id: int
    application_id: int
    paused: bool
    first_at: datetime | None
    failing_since: datetime | None
    matched: Mapping[str, str] = MappingProxyType({})


_FARED = (
    "id", "application_id", Case(When(paused=True, then=Value(1)), default=Value(0)), Instant("state__first_at"),
    Case(When(FAILING, then=Instant("state__first_bad_at"))),
)  # fmt: skip


def row_of(values: Sequence[Any]) -> Row:
    """Return a tuple of `QUICK` as a row."""
    created, since, first, last, bad = (read_instant(values[place]) for place in _TIME_PLACES)
    return Row._make((*values[:14], created, values[15], since, values[17], first, last, *values[20:27], bad))


def lean_row_of(values: Sequence[Any]) -> Row:
    """Return a tuple of `LEAN` as a row, with nothing where it does not say."""
    (
        number, name, application, kind, severity, paused, every_s, timeout_s, created, health, since, first, last,
        blocker, blocker_application, unusable, fail_after, failures, warnings, first_bad,
    ) = values  # fmt: skip
    return Row(
        number, name, application, "", None, None, kind, "", severity, {}, paused, "", every_s, timeout_s,
        read_instant(created), health, read_instant(since), "", read_instant(first), read_instant(last), None, blocker,
        blocker_application, unusable, fail_after, failures, warnings, read_instant(first_bad),
    )  # fmt: skip


def open_windows(now: datetime, among: Iterable[Window] | None = None) -> list[Window]:
    """Return the maintenance windows that are open at `now`."""
    return [window for window in (windows() if among is None else among) if open_until(window, now) is not None]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; empty means all. `label` is `name` or `name=value`."""

    application: str = ""
    status: str = ""
    kind: str = ""
    severity: str = ""
    label: str = ""
    text: str = ""

    def query(self) -> QuerySet[Check]:
        """Return the checks that match everything but the status, which depends on the time."""
        found = Check.objects.all()
        if self.application:
            found = found.filter(application__name=self.application)
        if self.kind:
            found = found.filter(kind=self.kind)
        if self.severity:
            found = found.filter(severity=self.severity)
        if self.label:
            name, equals, value = self.label.partition("=")
            # Cast: a lookup on the bare key would read the value as JSON.
            found = found.annotate(label=Cast(KeyTextTransform(name.strip(), "labels"), TextField()))
            found = found.filter(label=value.strip()) if equals else found.filter(label__isnull=False)
        return telling(found, self.text) if self.text else found

    def candidates(self, found: QuerySet[Check]) -> QuerySet[Check]:
        """Narrow `found` to a superset of those whose status is `status`, as far as the database can tell."""
        match self.status:
            case "paused":
                return found.filter(paused=True)
            case "up":
                return found.filter(paused=False, state__health="up")
            case "degraded":
                return found.filter(NOT_UP)
            case "down" | "unreachable":
                return found.filter(paused=False, state__health="down")
            case _:
                return found.filter(paused=False)


def telling(found: QuerySet[Check], words: str) -> QuerySet[Check]:
    """Narrow `found` to the checks that have all words in their name, target, labels, or in where they belong."""
    found = found.annotate(label_text=Cast("labels", TextField()))
    fields = ("name", "target", "application__name", "environment__name", "component__name", "label_text")
    return with_words(found, words, *fields)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list: rows with their status, how many match in all, its number, and whether more follow."""

    rows: list[tuple[Row, Shown]]
    total: int
    number: int
    more: bool


def read(found: QuerySet[Check], sort: str = "name") -> list[Row]:
    """Return the rows of `found`, sorted by a key of `SORTS` (`-key`: the other way round)."""
    return [row_of(values) for values in _ordered(found, sort).values_list(*QUICK)]


def read_lean(found: QuerySet[Check], sort: str = "") -> list[Row]:
    """Return the rows of `found` with only what status and uptime need; labels only where windows ask them.

    By id, or sorted by a key of `SORTS`.
    """
    ordered = _ordered(found, sort) if sort else found.order_by("id")
    if _labels_asked():
        return [row_of(values) for values in ordered.values_list(*QUICK)]
    return [lean_row_of(values) for values in ordered.values_list(*LEAN)]


def _labels_asked() -> bool:
    return Maintenance.objects.exclude(match={}).exists()


def seen(found: QuerySet[Check], now: datetime, sort: str = "name") -> list[tuple[Row, Shown]]:
    """Return all of `found` with their status."""
    open_now = open_windows(now)
    return [(row, row.shown(open_now, now)) for row in read(found, sort)]


def these(numbers: Sequence[int], now: datetime) -> list[tuple[Row, Shown]]:
    """Return some checks in this order, with their status."""
    found = {row.id: (row, shown) for row, shown in seen(Check.objects.filter(pk__in=numbers), now)}
    return [found[number] for number in numbers if number in found]


_GLANCE = (
    "id", "name", "application_id", "severity", "every_s", "timeout_s", Instant("state__first_at"),
    UnixSeconds("state__last_at"),
    Case(When(paused=False, state__health="up", state__unusable="", then=Value(1)), default=Value(0)),
)  # fmt: skip
_FINE = Shown(Status.UP, "")
_CLOSELY_MOST = 500  # of more it is cheaper to read all than to name them


def glance(found: QuerySet[Check], now: datetime) -> list[tuple[Row, Shown]]:
    """Return all of `found` by id with their status, for sums: of those that are up and on time little else is read."""
    open_now = open_windows(now)
    fine: list[tuple[Row, Shown]] = []
    others: list[int] = []
    if not open_now and not _labels_asked():
        at = now.timestamp()
        glanced = found.order_by("id").values_list(*_GLANCE)
        for pk, name, application, severity, every_s, timeout_s, first, last, up in glanced:
            if up and last is not None and not decide.is_late(at - last, every_s, timeout_s):
                fine.append((_fine_row(pk, name, application, severity, read_instant(first)), _FINE))
            else:
                others.append(pk)
        if not others:
            return fine
        found, fine = (found.filter(pk__in=others), fine) if len(others) <= _CLOSELY_MOST else (found, [])
    closely = [(row, row.shown(open_now, now)) for row in read_lean(found)]
    return sorted(fine + closely, key=lambda pair: pair[0].id)


def _fine_row(number: int, name: str, application: int, severity: str, first_at: datetime | None) -> Row:
    return Row(
        number, name, application, "", None, None, "", "", severity, {}, False, "", 0.0, 0.0, NO_TIME, "up", None, "",
        first_at, None, None, None, None, None, 0, 0, 0, None,
    )  # fmt: skip


def page(filters: Filters, now: datetime, *, sort: str = "name", number: int = 1, size: int = PAGE) -> Listed:
    """Return one page of the checks that match."""
    open_now = open_windows(now)
    found = filters.query()
    begin = (number - 1) * size
    if filters.status:
        rows = [(row, row.shown(open_now, now)) for row in read(filters.candidates(found), sort)]
        matching = [(row, shown) for row, shown in rows if shown.status == filters.status]
        return Listed(matching[begin : begin + size], len(matching), number, len(matching) > begin + size)
    total = found.count()
    some = _ordered(found, sort)[begin : begin + size]
    listed = [row_of(values) for values in some.values_list(*QUICK)]
    return Listed([(row, row.shown(open_now, now)) for row in listed], total, number, total > begin + size)


def matching(filters: Filters, now: datetime) -> Sequence[Row | Fared]:
    """Return all that match by name, with what uptime needs: for what is sorted past the database."""
    found = filters.query()
    if filters.status:
        open_now = open_windows(now)
        rows = read_lean(filters.candidates(found), "name")
        return [row for row in rows if row.shown(open_now, now).status == filters.status]
    if _labels_asked():
        return read(found)
    values = _ordered(found, "name").values_list(*_FARED)
    return [
        Fared(pk, application, bool(paused), read_instant(first), read_instant(failing))
        for pk, application, paused, first, failing in values
    ]


def everything(filters: Filters, now: datetime, *, sort: str = "name") -> list[tuple[Row, Shown]]:
    """Return all that match, for exports."""
    found = filters.query()
    every = seen(filters.candidates(found) if filters.status else found, now, sort)
    return [(row, shown) for row, shown in every if not filters.status or shown.status == filters.status]


def _ordered(found: QuerySet[Check], sort: str) -> QuerySet[Check]:
    key = sort.removeprefix("-")
    columns = SORTS.get(key, SORTS["name"])
    if columns[0] == "rank":
        cases = [When(by_results=status, then=Value(rank)) for status, rank in _RANKS.items()]
        found = found.annotate(by_results=BY_RESULTS, rank=Case(*cases, output_field=IntegerField()))
    elif columns[0] == "gravity":
        levels = [When(severity=name, then=Value(rank)) for name, rank in _GRAVITY.items()]
        found = found.annotate(gravity=Case(*levels, default=Value(3), output_field=IntegerField()))
    if not sort.startswith("-"):
        return found.order_by(*columns)
    turned = columns if key == "name" else columns[:1]  # what it is sorted by; equals stay in order of name
    return found.order_by(*(f"-{name}" for name in turned), *columns[len(turned) :])


STATUSES = tuple(status.value for status in Status)
