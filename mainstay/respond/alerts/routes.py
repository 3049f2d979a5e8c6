"""Routes: reading them as values, and what people do with them."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Max
from django.urls import reverse

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.held import held
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes.unreadable import readable
from mainstay.foundation.refusal import Refused, need_unmanaged
from mainstay.foundation.resource import differences, read_or_none
from mainstay.foundation.words.matching import Matchers, Stored
from mainstay.respond.alerts import facts
from mainstay.respond.alerts.decide import DAYS, Hours, RouteFacts
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery.receivers import Naming, channels_of, unknown
from mainstay.respond.delivery.wing import DELIVERY_EDIT

MOVED_TOLD = 50
NAME_LONGEST = 100
_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9_-]")


def routes() -> tuple[RouteFacts, ...]:
    """Return all routes in order."""
    return tuple(readable("route", Route.objects.all(), route_of))


def never_reached(rows: Sequence[Route]) -> dict[int, Route]:
    """Return the routes that no alert gets to, each with the one before it that takes all of its alerts.

    `rows` in their order. Only what is certain is told.
    """
    found: dict[int, Route] = {}
    taking: list[tuple[Route, Matchers]] = []
    for row in rows:
        match = Matchers.of(row.match)
        before = next((one for one, wanted in taking if match.implies(wanted)), None)
        if before is not None:
            found[row.pk] = before
        elif not row.also and not row.times:
            taking.append((row, match))
    return found


def naming(channel: str) -> Iterator[Naming]:
    """Yield the routes that name a channel, in order."""
    for row in Route.objects.all():
        if channel in (*row.notify, *row.fallback):
            href = reverse("route_edit", args=[row.pk])
            yield Naming(row.name, href, channel in row.notify, [*row.notify] == [channel])


def route_of(row: Route) -> RouteFacts:
    """Return a row as the value that `decide` takes."""
    return RouteFacts(
        name=row.name,
        match=Matchers.of(row.match),
        notify=tuple(row.notify),
        fallback=tuple(row.fallback),
        remind_every=timedelta(seconds=row.remind_every_s) if row.remind_every_s is not None else None,
        hours=_hours(row.times) if row.times else None,
        also=row.also,
    )


def _hours(times: dict[str, Any]) -> Hours:
    ZoneInfo(times["timezone"])  # it raises here, and not in every decision
    return Hours(
        days=tuple(day for day in times["days"] if day in DAYS),
        begin=time.fromisoformat(times["from"]),
        end=time.fromisoformat(times["to"]),
        zone=times["timezone"],
    )


@transaction.atomic
def put_route(
    spec: RouteSpec,
    actor: Actor,
    at: datetime,
    *,
    existing: Route | None = None,
    position: int | None = None,
    by_file: str = "",
) -> Route:
    """Create a route (at the end, unless `position` is given), or make an existing one what `spec` says; return it.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(DELIVERY_EDIT)
    row = Route(created_at=at)
    if existing is not None:
        row = held(existing, f"The route {existing.name}", by_file)
    known = channels_of([*spec.notify, *spec.fallback], at)
    for field in ("notify", "fallback"):
        if problem := unknown(getattr(spec, field), known):
            raise Refused(problem, field)
    name = spec.name or default_name(spec)
    if Route.objects.filter(name=name).exclude(pk=existing.pk if existing else 0).exists():
        raise Refused(f"a route named {name} exists already", "name", conflict=True)
    was = read_or_none(spec_of, row) if existing is not None else None
    row.name, row.match, row.notify, row.fallback = name, spec.wanted.stored(), spec.notify, spec.fallback
    row.remind_every_s, row.also, row.managed_by = spec.remind_every, spec.also, by_file
    row.times = spec.hours.model_dump(by_alias=True) if spec.hours else {}
    if position is not None:
        row.position = position
    elif existing is None:
        row.position = (Route.objects.aggregate(last=Max("position"))["last"] or 0) + 1
    row.save()
    about = Subject("route", row.pk, row.name)
    if existing is None:
        write(facts.ROUTE_CREATED, about, actor, at, match=shown_match(row.match), notify=row.notify)
    elif changed := differences(was, spec_of(row)):
        write(facts.ROUTE_EDITED, about, actor, at, fields=changed)
    _look_again(at)
    return row


def _look_again(at: datetime) -> None:
    """Routes are others now: what was held, or is reminded, is decided on again."""
    Alert.objects.filter(ended_at=None, look_at__isnull=False).update(look_at=at)


@transaction.atomic
def arrange(names: Sequence[str], actor: Actor, at: datetime, *, by_file: str) -> None:
    """Put routes in the order of `names`, those of other files too: the order among these stays.

    Raises:
        NotAllowed.
    """
    actor.need(DELIVERY_EDIT)
    places = {name: place for place, name in enumerate(names)}
    moved = [row for row in Route.objects.filter(name__in=places) if row.position != places[row.name]]
    for row in moved:
        row.position = places[row.name]
    if moved:
        Route.objects.bulk_update(moved, ["position"], batch_size=100)
        about = Subject("config", 0, by_file)
        write(facts.ROUTES_ARRANGED, about, actor, at, moved=[row.name for row in moved][:MOVED_TOLD])
        Alert.objects.filter(ended_at=None, look_at__isnull=False).update(look_at=at)


@transaction.atomic
def remove_route(row: Route, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """Remove a route.

    Raises:
        NotAllowed, Managed.
    """
    actor.need(DELIVERY_EDIT)
    row = held(row, f"The route {row.name}", by_file, leaving=True)
    write(facts.ROUTE_REMOVED, Subject("route", row.pk, row.name), actor, at)
    row.delete()
    _look_again(at)


def spec_of(row: Route) -> RouteSpec:
    """Return the route as people write it."""
    wanted = Matchers.of(row.match)
    return RouteSpec.model_validate(
        {
            "name": row.name,
            "match": wanted.match,
            "matchers": wanted.matchers,
            "notify": row.notify,
            "fallback": row.fallback,
            "remind_every": row.remind_every_s,
            "hours": row.times or None,
            "also": row.also,
        }
    )


def default_name(spec: RouteSpec) -> str:
    """Return a name for a route without one, from what it matches: `severity-critical`.

    What no name can hold is told apart by a digest: two routes of one name would be one, and a file would make the
    other what it says of this.
    """
    shown = {"=": "", "!=": "-not", "=~": "-like", "!~": "-unlike"}
    parts = [f"{one.name}{shown[one.operator]}-{'-'.join(one.texts)}" for one in spec.wanted.all]
    text = "-".join(parts) or "everything"
    name = _UNNAMEABLE.sub("-", text)
    if name == text and len(name) <= NAME_LONGEST:
        return name
    digest = hashlib.sha256(json.dumps(spec.wanted.stored(), sort_keys=True).encode()).hexdigest()[:8]
    return f"{name[: NAME_LONGEST - 9]}-{digest}"


def shown_match(match: Stored) -> str:
    """Return what a route matches, in words."""
    return Matchers.of(match).in_words() or "every alert"


@transaction.atomic
def move_route(row: Route, actor: Actor, at: datetime, *, up: bool) -> bool:
    """Swap a route with its neighbour; False when it is the first (or last) already.

    Raises:
        NotAllowed, Managed: a file that describes a route also gives its place.
    """
    actor.need(DELIVERY_EDIT)
    need_unmanaged(f"The route {row.name}", row.managed_by, "")
    rows = list(Route.objects.select_for_update())
    place = next((place for place, each in enumerate(rows) if each.pk == row.pk), None)
    other = None if place is None else place - 1 if up else place + 1
    if place is None or other is None or not 0 <= other < len(rows):
        return False
    rows[place], rows[other] = rows[other], rows[place]
    # Positions may have gaps or be equal (files give their own), so all are written anew.
    for position, each in enumerate(rows, 1):
        if each.position != position:
            Route.objects.filter(pk=each.pk).update(position=position)
    write(facts.ROUTE_EDITED, Subject("route", row.pk, row.name), actor, at, fields=["position"])
    Alert.objects.filter(ended_at=None, look_at__isnull=False).update(look_at=at)
    return True
