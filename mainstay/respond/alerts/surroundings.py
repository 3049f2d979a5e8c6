"""What decisions about alerts need to know: routes, silences, what stands around each; read once for many alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstay.foundation.processes.unreadable import readable
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks.standing import windows
from mainstay.respond.alerts import origins
from mainstay.respond.alerts.decide import AlertFacts, Code, SilenceFacts, World
from mainstay.respond.alerts.models import Alert, Silence
from mainstay.respond.alerts.origins import Context, ContextOf, Origin
from mainstay.respond.alerts.routes import routes

HELD_BY_NEEDED = {Code.UNREACHABLE, Code.WAITING_FOR_NEEDED}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """To be read in the transaction that decides, after its locks: what changes later asks for another look."""

    world: World
    contexts: Mapping[str, ContextOf]  # by the first word of a source

    def facts_of(self, alert: Alert, now: datetime) -> AlertFacts:
        """Return what a decision needs to know of an alert."""
        open_now = alert.ended_at is None
        found = self.contexts[origins.word_of(alert.source)](alert, now) if open_now else Context()
        same = alert.decision not in HELD_BY_NEEDED or alert.held_by == found.needed
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
    """Read what stands around `alerts` (loaded with `origins.loads`), which are decided on as of times from `since` to
    `until`."""
    world, covers = World(routes(), silences(since, until)), windows()
    by_word: dict[str, tuple[Origin, list[Alert]]] = {}
    for alert in alerts:
        if alert.ended_at is None:
            by_word.setdefault(origins.word_of(alert.source), (origins.of(alert), []))[1].append(alert)
    return Surroundings(world, {word: origin.context(some, covers) for word, (origin, some) in by_word.items()})


def silences(now: datetime, until: datetime | None = None) -> list[SilenceFacts]:
    """Return the silences that hold at `now`, or at some time until `until`."""
    rows = Silence.objects.filter(ends_at__gt=now, starts_at__lte=until or now)
    return readable("silence", rows, _facts_of)


def _facts_of(row: Silence) -> SilenceFacts:
    if not (isinstance(row.starts_at, datetime) and isinstance(row.ends_at, datetime)):
        raise ValueError("from when to when it holds cannot be read")
    return SilenceFacts(row.pk, Matchers.of(row.match), row.starts_at, row.ends_at, row.told)
