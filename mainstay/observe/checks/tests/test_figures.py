"""What the prober says of itself on Now."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mainstay.foundation.processes import notices
from mainstay.observe.checks.probe.engine import Figures
from mainstay.observe.checks.runtime.figures import ProberNotices
from mainstay.observe.checks.tests.parts import NOON

CALM = Figures(
    alive=True, lag_s=0.0, waiting_s=0.0, max_in_flight=128, by_descriptors=True, lateness_p50_s=0.0,
    lateness_p99_s=0.0, planned=1000, in_flight=0, waiting=0, results_pending=0, names_waiting=0, unasked=0, defects=0,
    probes=0, slots_overlapped=0, slots_skipped=0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    yield
    for code in [str(notice["code"]) for notice in notices.told()]:
        notices.end(code)


def told() -> dict[str, str]:
    return {str(notice["code"]): str(notice["detail"]) for notice in notices.told()}


@pytest.mark.fault("R12")
def test_probes_that_wait_for_a_place_are_told_with_the_limit_that_holds_them_back() -> None:
    voice = ProberNotices()
    voice.tell(replace(CALM, waiting_s=2.0), NOON, 0.0)
    assert told() == {}, "a burst"
    voice.tell(replace(CALM, waiting_s=4.0), NOON, 1.0)
    assert "The limit on open files (ulimit -n, LimitNOFILE of systemd) allows 128 at once" in told()["descriptors"]
    voice.tell(replace(CALM, waiting_s=4.0, by_descriptors=False, max_in_flight=2000), NOON, 2.0)
    assert told()["descriptors"].startswith("2000 probes run at once.")
    voice.tell(CALM, NOON, 40.0)
    assert "descriptors" in told(), "it may come again any moment"
    voice.tell(CALM, NOON, 62.0)
    assert told() == {}


def test_names_that_are_not_asked_about_are_told() -> None:
    voice = ProberNotices()
    voice.tell(replace(CALM, unasked=5), NOON, 0.0)
    assert "Name servers of other names do not answer" in told()["names"]
    voice.tell(replace(CALM, unasked=5), NOON, 61.0)
    assert told() == {}
    voice.tell(replace(CALM, unasked=6), NOON, 62.0)
    assert "names" in told()
