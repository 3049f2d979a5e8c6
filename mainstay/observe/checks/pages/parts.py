"""What checks give to Now and to Ctrl K."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django.urls import reverse
from django.utils import timezone

from mainstay.foundation import clock
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.parts import FOUND_MOST, Duty, Found
from mainstay.kit.rows import in_minutes
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.pages import listing
from mainstay.observe.checks.pages.applications import attended, fared, standings
from mainstay.observe.checks.uptime.timeline import calendar

PAUSED_LONG = timedelta(days=1)
TARGET_PERCENT = 99.9


def broken(_user: User, _now: datetime) -> Iterator[Duty]:
    """Checks whose settings cannot be used."""
    rows = CheckState.objects.filter(message__startswith="Its settings cannot be used").exclude(health="up")
    for row in rows.select_related("check_ref__application")[:3]:
        edit = reverse("check_edit", args=[row.pk])
        yield Duty(str(row.check_ref), edit, "its settings cannot be used", "failed", "mend it")


def paused_long(_user: User, now: datetime) -> Iterator[Duty]:
    """Checks that were paused and forgotten."""
    rows = Check.objects.filter(paused=True, state__since__lt=now - PAUSED_LONG)
    found = rows.aggregate(n=Count("id"), since=Min("state__since"))
    if number := found["n"]:
        title = f"{number} {'check is' if number == 1 else 'checks are'} paused"
        detail = f"the longest for {in_minutes(now - found['since'])}"
        yield Duty(title, f"{reverse('checks')}?status=paused", detail, "paused", "resume")


def unmanaged(_user: User, _now: datetime) -> Iterator[Duty]:
    """Checks in no file. All by hand is a choice; some by hand is an oversight."""
    found = Check.objects.aggregate(n=Count("id"), loose=Count("id", filter=Q(managed_by="")))
    if found["loose"] and found["loose"] != found["n"]:
        title = f"{found['loose']} of {found['n']} checks are in no file"
        yield Duty(title, reverse("checks"), "mainstay export prints them as one", "minor", "write down")


def below_target(_user: User, now: datetime) -> Iterator[Duty]:
    """Applications whose uptime of 30 days misses the target."""
    month = calendar(now, 30, timezone.get_current_timezone())
    found = [(one.percent(month), one.application.name) for one in fared(standings(attended(), now), month, now)]
    for share, name in sorted((share, name) for share, name in found if share is not None and share < TARGET_PERCENT)[
        :5
    ]:
        where = reverse("application", args=[name])
        yield Duty(name, where, f"below {TARGET_PERCENT} % over 30 days", "major", f"{share:.2f} %")


def find(words: Sequence[str], _actor: Actor) -> Iterator[Found]:
    """Find checks by name, target, application and labels."""
    now = clock.now()
    found = listing.telling(Check.objects.all(), " ".join(words).replace("/", " "))
    rows = [listing.row_of(values) for values in found.order_by("name", "id").values_list(*listing.QUICK)[:FOUND_MOST]]
    open_now = listing.open_windows(now) if rows else []
    for row in rows:
        detail = " · ".join(part for part in (row.application, row.environment, row.target) if part)
        yield Found(reverse("check", args=[row.id]), row.name, detail, row.shown(open_now, now).status.value)
