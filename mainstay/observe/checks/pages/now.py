"""What checks give to Now."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from mainstay.foundation.accounts.access import actor_of
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.parts import Drawn, Fact, Sentence
from mainstay.foundation.processes.beat import health
from mainstay.foundation.processes.outage import outage
from mainstay.kit import rows
from mainstay.observe.checks.decide import Status
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages import bars
from mainstay.observe.checks.pages.applications import (
    DAYS,
    SENTENCES,
    Overview,
    application_row,
    attended,
    fared,
    standings,
    worst_first,
)
from mainstay.observe.checks.pages.maintenance_views import announced
from mainstay.observe.checks.standing import BY_RESULTS
from mainstay.observe.checks.uptime.timeline import calendar
from mainstay.observe.checks.wing import CHECKS_EDIT

COMING = timedelta(days=7)
COMING_SHOWN = 4


def states(request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """How many checks are how, and whether anything is watched."""
    found = _counts()
    facts = []
    for state in ("down", "degraded", "unknown", "paused", "up"):
        if found.get(state):
            word = "without a result" if state == "unknown" else state
            noun = " checks" if state == "up" else ""
            facts.append(Fact(f"{found[state]:,}{noun} {word}", f"{reverse('checks')}?status={state}"))
    if not found:
        context = {"may_check": actor_of(request).may(CHECKS_EDIT)}
        yield Drawn("checks/parts/nothing.html", context, Sentence(90, "Nothing is watched yet."), alone=True)
        return
    refused = outage.present(time.monotonic())  # whoever cannot write its beat is not missing
    unwatched = not refused and health(now)["monitor"].status == "missing"
    says = Sentence(10, "Nothing is being watched: the monitor does not run.") if unwatched else None
    yield Drawn(says=says, facts=tuple(facts))


def _counts() -> dict[str, int]:
    """Return how many checks have which health by their results, and how many are paused.

    How many are up is what the others leave: counting them would be reading the states of all.
    """
    total = Check.objects.aggregate(all=Count("id"), paused=Count("id", filter=Q(paused=True)))
    if not total["all"]:
        return {}
    others = Check.objects.filter(~Q(state__health="up"), state__health__gt="", paused=False)
    found = dict(others.annotate(how=BY_RESULTS).values_list("how").annotate(number=Count("id")).order_by())
    return {**found, "paused": total["paused"], "up": total["all"] - total["paused"] - sum(found.values())}


def public(request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """How applications are, for those who see nothing of operations."""
    if not actor_of(request).may(OPERATIONS_VIEW):
        title, sub = public_headline(worst_first(standings(Application.objects.all(), now)))
        yield Drawn(says=Sentence(50, title), facts=(Fact(sub),) if sub else ())


def public_headline(found: Sequence[Overview]) -> tuple[str, str]:
    """Return the sentence for those who see applications only, and the facts below it."""
    if not found:
        return "No application is looked after yet.", ""
    states = [one.whole.status for one in found]
    bad = [one for one in found if one.whole.status in (Status.DOWN, Status.DEGRADED, Status.UNREACHABLE)]
    fine = states.count(Status.UP)
    sub = f"{fine} of {len(found)} {'application is' if len(found) == 1 else 'applications are'} fine"
    if not bad:
        return ("Nothing is wrong." if fine else "No recent results."), sub
    if len(bad) == 1:
        return f"{bad[0].application.name} {SENTENCES[bad[0].whole.status]}.", sub
    names = [one.application.name for one in bad[:3]]
    return f"{len(bad)} applications are not well: {', '.join(names)}{' …' if len(bad) > 3 else ''}", sub


def fleet(request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """The applications that want attention most, with their uptime."""
    days = calendar(now, DAYS, timezone.get_current_timezone())
    total = Application.objects.count()
    found = worst_first(fared(standings(attended(), now), days, now))
    if not found:
        # Who looks after them is told by "nothing is watched".
        if not actor_of(request).may(OPERATIONS_VIEW):
            yield Drawn("checks/parts/no_application.html")
        return
    shown = rows.join(
        application_row(one, bars.small_bar(one.course, days), one.percent(days), tier=False) for one in found
    )
    context = {"rows": shown, "total": total, "left_out": max(0, total - len(found))}
    yield Drawn("checks/parts/fleet.html", context)


def maintenance(request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """Maintenance that is open, or soon."""
    coming = [one for one in announced(now) if one.state == "active" or (one.starts or now) < now + COMING]
    if coming:
        context = {"coming": coming[:COMING_SHOWN], "linked": actor_of(request).may(OPERATIONS_VIEW)}
        yield Drawn("checks/parts/maintenance.html", context)


def buttons(_request: HttpRequest, _now: datetime) -> Iterator[Drawn]:
    """What is begun from Now."""
    yield Drawn("checks/parts/announce.html")
