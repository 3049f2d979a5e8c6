"""What each role owes next: a few short questions to the records, the gravest first. Nothing owed is said as well."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q

from mainstay.desk.waiting import waiting
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.models import Application
from mainstay.kit.rows import write_duration
from mainstay.observe.checks.models import Check, CheckState
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.delivery.models import Channel, Delivery

PAUSED_LONG = timedelta(days=1)
UNSETTLED = ("no_route", "no_channel")


@dataclass(frozen=True, slots=True)
class Owed:
    """One thing to do: what, where, why, and how it shows (a key of `rows.STATES` and its word)."""

    title: str
    href: str
    detail: str
    state: str
    word: str


def owed(user: User, now: datetime, *, uptimes: Sequence[tuple[str, float | None]] = ()) -> list[Owed]:
    """Return what `user` owes next.

    Args:
        uptimes: (application, uptime in per cent over 30 days), for those who answer for it.
    """
    found: list[Owed] = []
    for question in QUESTIONS.get(Role(user.role), ()):
        found += question(user, now)
    if Role(user.role) in {Role.PRODUCT, Role.STAKEHOLDER}:
        found += _below_target(uptimes)
    return found


def _unacknowledged(_user: User, now: datetime) -> list[Owed]:
    waiting = Alert.objects.filter(ended_at=None, acknowledged_at=None).aggregate(
        n=Count("id"), since=Min("started_at")
    )
    if not waiting["n"]:
        return []
    number = waiting["n"]
    return [
        Owed(
            f"{number} {'alert' if number == 1 else 'alerts'} nobody has",
            "/alerts/?state=firing",
            f"the oldest for {_for(now - waiting['since'])}",
            "firing",
            "acknowledge",
        )
    ]


def _unpaged(_user: User, _now: datetime) -> list[Owed]:
    number = Alert.objects.filter(ended_at=None, acknowledged_at=None, decision__in=UNSETTLED).count()
    if not number:
        return []
    noun = "alert reaches" if number == 1 else "alerts reach"
    return [
        Owed(f"{number} {noun} nobody", "/channels/", "no route leads from it to a channel", "critical", "add a route")
    ]


def _failing_deliveries(_user: User, now: datetime) -> list[Owed]:
    by_channel: dict[str, list[Delivery]] = {}
    for delivery in waiting(now):
        by_channel.setdefault(delivery.channel_name, []).append(delivery)
    return [
        Owed(
            f"{name} does not get through",
            "/deliveries/?status=waiting",
            f"{_count(len(rows), 'page waits', 'pages wait')}, the oldest for {_for(now - rows[0].created_at)}",
            "retrying",
            "mend it",
        )
        for name, rows in list(by_channel.items())[:5]
    ]


def _no_way_out(_user: User, _now: datetime) -> list[Owed]:
    if not Check.objects.exists():
        return []
    if not Channel.objects.filter(paused=False).exists():
        return [
            Owed("Nobody can be paged", "/channels/", "there is no channel, or all are paused", "critical", "add one")
        ]
    if not Route.objects.exists():
        return [
            Owed("Nobody is paged", "/channels/", "no route leads from an alert to a channel", "critical", "add one")
        ]
    return []


def _broken_checks(_user: User, _now: datetime) -> list[Owed]:
    rows = (
        CheckState.objects.filter(message__startswith="Its settings cannot be used")
        .exclude(health="up")
        .select_related("check_ref__application")[:3]
    )
    return [
        Owed(str(row.check_ref), f"/checks/{row.pk}/edit/", "its settings cannot be used", "failed", "mend it")
        for row in rows
    ]


def _paused_long(_user: User, now: datetime) -> list[Owed]:
    rows = Check.objects.filter(paused=True, state__since__lt=now - PAUSED_LONG).aggregate(
        n=Count("id"), since=Min("state__since")
    )
    if not rows["n"]:
        return []
    number = rows["n"]
    return [
        Owed(
            f"{number} {'check is' if number == 1 else 'checks are'} paused",
            "/checks/?status=paused",
            f"the longest for {_for(now - rows['since'])}",
            "paused",
            "resume",
        )
    ]


def _unmanaged(_user: User, _now: datetime) -> list[Owed]:
    found = Check.objects.aggregate(n=Count("id"), loose=Count("id", filter=Q(managed_by="")))
    if not found["loose"] or found["loose"] == found["n"]:
        return []  # all by hand is a choice; some by hand is an oversight
    return [
        Owed(
            f"{found['loose']} of {found['n']} checks are in no file",
            "/checks/",
            "mainstay export prints them as one",
            "minor",
            "write down",
        )
    ]


def _own_applications(user: User, _now: datetime) -> list[Owed]:
    rows = (
        Alert.objects.filter(ended_at=None, application__owner__members=user)
        .values("application__name")
        .annotate(n=Count("id"), since=Min("started_at"))
        .order_by("since")[:5]
    )
    return [
        Owed(
            row["application__name"],
            f"/applications/{row['application__name']}/",
            f"{row['n']} open {'alert' if row['n'] == 1 else 'alerts'} on an application of your team",
            "firing",
            "look",
        )
        for row in rows
    ]


def _without_owner(_user: User, _now: datetime) -> list[Owed]:
    names = list(Application.objects.filter(owner=None).order_by("name").values_list("name", flat=True)[:4])
    if not names:
        return []
    shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return [Owed("Applications without an owner", "/applications/", shown, "minor", "assign")]


def _second_factors(_user: User, _now: datetime) -> list[Owed]:
    found = User.objects.filter(is_active=True).aggregate(
        n=Count("id", distinct=True), bare=Count("id", filter=Q(authenticator=None), distinct=True)
    )
    if not found["bare"]:
        return []
    verb = "person has" if found["n"] == 1 else "people have"
    return [
        Owed(
            f"{found['bare']} of {found['n']} {verb} no second factor",
            "/people/",
            "a password alone opens the desk",
            "major",
            "ask them",
        )
    ]


def _below_target(uptimes: Sequence[tuple[str, float | None]]) -> list[Owed]:
    poor = sorted((share, name) for name, share in uptimes if share is not None and share < GOAL_PERCENT)
    return [
        Owed(name, f"/applications/{name}/", f"below {GOAL_PERCENT} % over 30 days", "major", f"{share:.2f} %")
        for share, name in poor[:5]
    ]


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _for(span: timedelta) -> str:
    """Write a length of time in whole minutes, so that the page is not another one with every second."""
    minutes = int(span.total_seconds() // 60)
    return write_duration(minutes * 60) if minutes else "less than a minute"


GOAL_PERCENT = 99.9
Question = Callable[[User, datetime], list[Owed]]
QUESTIONS: dict[Role, tuple[Question, ...]] = {
    Role.SUPPORT: (_unacknowledged, _failing_deliveries, _own_applications),
    Role.DEVELOPER: (_own_applications, _unacknowledged, _broken_checks),
    Role.DEVOPS: (_failing_deliveries, _no_way_out, _unpaged, _broken_checks, _paused_long, _unmanaged),
    Role.SECURITY: (_second_factors, _unacknowledged),
    Role.ADMIN: (_failing_deliveries, _no_way_out, _unpaged, _broken_checks, _second_factors, _without_owner),
    Role.PRODUCT: (_without_owner,),
    Role.STAKEHOLDER: (),
}
"""Role → its questions; every role is here."""
