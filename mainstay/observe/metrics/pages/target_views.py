"""Targets and their health, as the monitor tells it; and one target with its labels."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode

from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.kit.lists import WORDS_MOST, Wanted, columns, export
from mainstay.kit.live import live
from mainstay.kit.nav import trail
from mainstay.observe.checks.wing import CHECKS_EDIT
from mainstay.observe.metrics.health import Seen
from mainstay.observe.metrics.health import live as ask_the_monitor
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.document import LiveTarget

SHOWN_MOST = 500
_RANKS = {"down": 0, "unknown": 2, "up": 3}
EXAMPLE = 'scrapes:\n  - name: node\n    targets: ["10.0.0.5:9100"]'


@dataclass(frozen=True, slots=True)
class Standing:
    """One scrape and how its targets are."""

    row: Scrape
    up: int
    down: int
    total: int
    dropped: int
    errors: tuple[str, ...]

    @property
    def state(self) -> str:
        """Return the state that its row shows."""
        if self.row.paused:
            return "paused"
        if not self.total:
            return "down" if self.errors else "unknown"
        if self.down:
            return "down" if self.down == self.total else "degraded"
        return "up" if self.up else "unknown"

    @property
    def word(self) -> str:
        """Return how many of its targets answer."""
        if self.row.paused:
            return "paused"
        return f"{self.up} of {self.total} up" if self.total else "no targets"


def standings(seen: Seen) -> list[Standing]:
    """Return all scrapes with what the monitor knows of their targets."""
    found = {each.name: each for each in seen.scrapes}
    out = []
    for row in Scrape.objects.select_related("application", "environment").order_by("name"):
        targets = seen.of(row.name)
        told = found.get(row.name)
        out.append(
            Standing(
                row,
                sum(target.health == "up" for target in targets),
                sum(target.health == "down" for target in targets),
                len(targets),
                told.dropped if told else 0,
                told.errors if told else (),
            )
        )
    return out


COLUMNS: dict[str, Any] = {
    **columns("job instance url health error last_at duration_s samples kept every_s"),
    "labels": lambda one: dict(one.labels),
}


@needs(OPERATIONS_VIEW, "GET")
def targets(request: HttpRequest) -> HttpResponseBase:
    """List scrapes and their targets, the worst first; or export the targets."""
    seen = ask_the_monitor()
    scrapes, wanted = standings(seen), Wanted(request)
    wanted.search("Address, label or problem")
    wanted.choose("job", "Any scrape", [each.row.name for each in scrapes])
    wanted.choose("health", "Any health", ("down", "unknown", "up"))
    found = sorted(
        _matching(seen.targets, wanted.values), key=lambda one: (_RANKS.get(one.health, 1), one.job, one.instance)
    )
    file = export(request, "targets", COLUMNS, found)
    if file is not None:
        return file
    context: dict[str, Any] = {
        "title": _title(seen, scrapes),
        "sub": _sub(seen, scrapes),
        "health": seen,
        "scrapes": scrapes,
        "targets": found[:SHOWN_MOST],
        "matching": len(found),
        "filtered": bool(wanted),
        "chips": wanted.chips(),
        "filters": wanted.filters,
        "may_edit": actor_of(request).may(CHECKS_EDIT),
        "example": EXAMPLE,
    }
    return live(request, "metrics/targets.html", context)


def _matching(targets: Iterable[LiveTarget], given: dict[str, str]) -> Iterable[LiveTarget]:
    words = given["q"].lower().split()[:WORDS_MOST]
    for target in targets:
        if given["job"] not in ("", target.job) or given["health"] not in ("", target.health):
            continue
        text = " ".join([target.url, target.error, *(f"{name}={value}" for name, value in target.labels.items())])
        if all(word in text.lower() for word in words):
            yield target


def _title(seen: Seen, scrapes: list[Standing]) -> str:
    if not scrapes:
        return "Nothing is scraped yet."
    if not seen.available:
        return "Targets: no data yet."
    healths = [target.health for target in seen.targets]  # Mainstay's own among them
    total, down = len(healths), healths.count("down")
    if not total:
        return "No scrape has a target now."
    if down:
        return f"{down:,} of {total:,} target{'s' if total != 1 else ''} {'is' if down == 1 else 'are'} down."
    unknown = total - healths.count("up") - down
    if unknown:
        return f"{unknown:,} of {total:,} targets {'has' if unknown == 1 else 'have'} not been scraped yet."
    return "The one target answers." if total == 1 else f"All {total:,} targets answer."


def _sub(seen: Seen, scrapes: list[Standing]) -> str:
    if not seen.available:
        return "The monitor does not answer: is it running? mainstay status tells."
    samples = sum(target.kept for target in seen.targets)
    noun = "scrape" if len(scrapes) == 1 else "scrapes"
    return f"{len(scrapes):,} {noun} · {samples:,} samples a round" if scrapes else "A scrape asks targets for metrics"


@needs(OPERATIONS_VIEW, "GET")
def target(request: HttpRequest, identity: str) -> HttpResponseBase:
    """Show one target: its health, its labels, and what it was before relabelling."""
    seen = ask_the_monitor()
    one = seen.one(identity)
    if one is None and seen.available:
        raise Http404
    context: dict[str, Any] = {
        "health": seen,
        "target": one,
        "title": _target_title(one),
        **trail("targets"),
    }
    if one is not None:
        selector = f'job="{_quoted(one.labels.get("job", one.job))}",instance="{_quoted(one.instance)}"'
        context |= {
            "labels": sorted(one.labels.items()),
            "discovered": sorted(one.discovered.items()),
            "scrape": Scrape.objects.filter(name=one.job).first(),
            "questions": [
                (text, f"{reverse('explore')}?{urlencode({'q': text})}")
                for text in (
                    f"{{{selector}}}",
                    f"scrape_duration_seconds{{{selector}}}",
                    f"scrape_samples_post_metric_relabeling{{{selector}}}",
                )
            ],
        }
    return live(request, "metrics/target.html", context)


def _target_title(one: LiveTarget | None) -> str:
    if one is None:
        return "This target: no data yet."
    word = {"up": "answers", "down": "is down"}.get(one.health, "has not been scraped yet")
    return f"{one.instance} {word}."


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
