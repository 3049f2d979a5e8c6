"""How the checks of an application add up to its status."""

import pytest

from mainstay.observe.checks.decide import Status
from mainstay.observe.checks.uptime.applications import Part, deciding, whole


def parts(*given: tuple[str, Status]) -> list[Part]:
    return [Part(f"check-{i}", severity, status) for i, (severity, status) in enumerate(given)]


S = Status


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        ([], S.UNKNOWN, "nothing watches it yet"),
        ([("critical", S.UP), ("major", S.UP)], S.UP, "2 of 2 checks are up"),
        ([("critical", S.DOWN), ("major", S.UP)], S.DOWN, "check-0 is down"),
        ([("critical", S.UP), ("major", S.DOWN)], S.DEGRADED, "check-1 is down, of lesser severity than critical"),
        ([("major", S.DOWN), ("minor", S.UP)], S.DOWN, "check-0 is down"),  # the highest that there is decides
        ([("critical", S.UNREACHABLE)], S.DOWN, "check-0 is unreachable"),
        ([("critical", S.DEGRADED)], S.DEGRADED, "check-0 is degraded"),
        ([("critical", S.UNKNOWN), ("minor", S.UP)], S.UNKNOWN, "check-0 is without a result"),
        ([("critical", S.UP), ("minor", S.UNKNOWN)], S.UP, "1 of 2 checks is up"),
        ([("critical", S.PAUSED), ("minor", S.PAUSED)], S.PAUSED, "all its checks are paused"),
        ([("critical", S.MAINTENANCE), ("minor", S.PAUSED)], S.MAINTENANCE, "its checks are paused or in maintenance"),
        ([("critical", S.DOWN)] * 5, S.DOWN, "check-0, check-1 and 3 more are down"),
    ],
)
def test_the_checks_of_the_highest_severity_decide(
    given: list[tuple[str, Status]], status: Status, reason: str
) -> None:
    found = whole(parts(*given))
    assert (found.status, found.reason) == (status, reason)


def test_without_checks_nothing_decides() -> None:
    assert deciding([]) == ""
    assert deciding(["minor", "major"]) == "major"
