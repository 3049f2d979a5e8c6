"""How the checks of an application add up to its status and its uptime: pure. docs/uptime.md has the rule in words.

The checks of the highest severity that an application has *decide*: it is down while one of them is. Any other that is
not up makes it degraded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mainstay.foundation.words.names import SEVERITIES
from mainstay.observe.checks.decide import Status

_NOT_UP = {Status.DOWN, Status.UNREACHABLE}
_UNWATCHED = (Status.MAINTENANCE, Status.PAUSED)


@dataclass(frozen=True, slots=True)
class Part:
    """One check, as far as its application is concerned."""

    name: str
    severity: str
    status: Status


@dataclass(frozen=True, slots=True)
class Whole:
    """The status of an application, and why, as a sentence without its subject and full stop."""

    status: Status
    reason: str


def deciding(severities: Iterable[str]) -> str:
    """Return the severity whose checks decide; empty when there is no check."""
    present = set(severities)
    return next((severity for severity in SEVERITIES if severity in present), "")


def whole(parts: Sequence[Part]) -> Whole:
    """Return the status that the checks of one application add up to."""
    if not parts:
        return Whole(Status.UNKNOWN, "nothing watches it yet")
    severity = deciding(part.severity for part in parts)
    down = [part for part in parts if part.status in _NOT_UP]
    decisive = [part for part in down if part.severity == severity]
    if decisive:
        return Whole(Status.DOWN, _names(decisive, _word(decisive)))
    if down:
        return Whole(Status.DEGRADED, f"{_names(down, _word(down))}, of lesser severity than {severity}")
    degraded = [part for part in parts if part.status is Status.DEGRADED]
    if degraded:
        return Whole(Status.DEGRADED, _names(degraded, "degraded"))
    watched = [part for part in parts if part.status not in _UNWATCHED]
    if not watched:
        status = next(status for status in _UNWATCHED if any(part.status is status for part in parts))
        word = "in maintenance" if status is Status.MAINTENANCE else "paused"
        return Whole(
            status, f"all its checks are {word}" if _all(parts, status) else "its checks are paused or in maintenance"
        )
    unknown = [part for part in watched if part.status is Status.UNKNOWN]
    if any(part.severity == severity for part in unknown) or len(unknown) == len(watched):
        return Whole(Status.UNKNOWN, _names(unknown, "without a result", "without results"))
    if len(parts) == 1:
        return Whole(Status.UP, "its check is up")
    up = sum(1 for part in parts if part.status is Status.UP)
    return Whole(Status.UP, f"{up} of {len(parts)} checks {'is' if up == 1 else 'are'} up")


def _all(parts: Sequence[Part], status: Status) -> bool:
    return all(part.status is status for part in parts)


def _word(parts: Sequence[Part]) -> str:
    return "unreachable" if all(part.status is Status.UNREACHABLE for part in parts) else "down"


def _names(parts: Sequence[Part], state: str, states: str = "") -> str:
    names = [part.name for part in parts]
    if len(names) == 1:
        return f"{names[0]} is {state}"
    shown = names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
    return f"{', '.join(shown[:-1])} and {shown[-1]} are {states or state}"
