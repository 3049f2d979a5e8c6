"""What decisions about alerts need to know: routes, silences, windows, needed checks; read once for many alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstay.observe.checks.standing import Around, Standing, around
from mainstay.observe.checks.windows import covering
from mainstay.respond.alerts.decide import AlertFacts, Code, SilenceFacts, World
from mainstay.respond.alerts.models import Alert, Silence
from mainstay.respond.alerts.routes import routes

HELD_BY_A_CHECK = {Code.UNREACHABLE, Code.WAITING_FOR_NEEDED}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """To be read in the transaction that decides, after its locks: what changes later asks for another look."""

    world: World
    around: Around

    def standing(self, alert: Alert, now: datetime) -> Standing:
        """Return what stands around the source of an alert."""
        if alert.ended_at is not None:
            return Standing(None, "", "")
        if alert.check_ref is not None:
            return self.around.standing(alert.check_ref, now, alert.started_at)
        return Standing(covering(self.around.windows, alert.application_id, alert.labels, now), "", "")

    def facts_of(self, alert: Alert, now: datetime) -> AlertFacts:
        """Return what a decision needs to know of an alert."""
        found = self.standing(alert, now)
        same = alert.decision not in HELD_BY_A_CHECK or alert.held_by == found.needed
        return AlertFacts(
            labels=alert.labels,
            severity=alert.severity,
            started_at=alert.started_at,
            ended_at=alert.ended_at,
            acknowledged_by=alert.acknowledged_by if alert.acknowledged_at else "",
            paged_at=alert.paged_at,
            paged_severity=alert.paged_severity,
            given_back_by=alert.given_back_by,
            told=tuple(alert.paged_channels) if alert.given_back_by else (),
            maintenance=found.cover.window.name if found.cover else "",
            maintenance_until=found.cover.until if found.cover else None,
            blocked_by=found.blocked_by,
            waits_for=found.waits_for,
            back=found.back,
            back_at=found.back_at,
            needed=found.needed,
            held=alert.decision if same else "",
        )


def surroundings(alerts: Sequence[Alert], since: datetime, until: datetime) -> Surroundings:
    """Read what stands around `alerts` (their `check_ref` loaded with what it belongs to), which are decided on as of
    times from `since` to `until`."""
    return Surroundings(
        world=World(routes(), silences(since, until)),
        around=around({alert.check_ref_id for alert in alerts if alert.check_ref_id and alert.ended_at is None}),
    )


def silences(now: datetime, until: datetime | None = None) -> list[SilenceFacts]:
    """Return the silences that hold at `now`, or at some time until `until`."""
    rows = Silence.objects.filter(ends_at__gt=now, starts_at__lte=until or now)
    return [SilenceFacts(row.pk, row.match, row.starts_at, row.ends_at, row.comment) for row in rows]
