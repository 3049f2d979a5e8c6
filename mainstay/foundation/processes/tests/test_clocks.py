"""What people are told of jumps of the clock and of gaps."""

from datetime import UTC, datetime, timedelta

import pytest

from mainstay.foundation.accounts.actor import program
from mainstay.foundation.gaps import Detector, Reading
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes import clocks, notices
from mainstay.foundation.processes.clocks import Teller
from mainstay.foundation.processes.models import Process

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Desk:
    """Two monitors, a worker and a web process on one machine, whose clock can be set."""

    def __init__(self) -> None:
        self.wall, self.elapsed_s = NOON, 0.0
        self.tellers = {}
        for role in ("web", "monitor", "monitor", "worker"):
            number = Process.objects.create(
                role=role, host="h", pid=1, boot="", started_at=NOON, beat_at=NOON + timedelta(days=1)
            ).pk
            detector = Detector(lambda: Reading(self.wall, self.elapsed_s))
            detector.begin()
            self.tellers[number] = Teller(role, detector)

    def tell(self) -> None:
        Process.objects.update(beat_at=self.wall)
        for number, teller in self.tellers.items():
            teller.tell(self.wall, number)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(notices, "_told", {})
    return Desk()


def titles() -> list[object]:
    return [notice["title"] for notice in notices.told()]


def sentences() -> list[str]:
    return [entry.sentence() for entry in Entry.objects.order_by("id")]


@pytest.mark.fault("R6")
def test_a_jump_is_a_notice_and_one_line_of_the_journal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.tell()
    desk.wall -= timedelta(hours=1)
    desk.tell()
    desk.tell()
    assert titles() == ["The clock was set back by 1 h."]
    (told,) = sentences()
    assert told.endswith(" was set back by 1 h, to 2026-03-02 11:00 UTC")
    monkeypatch.setattr(clocks, "NOTICE_S", 0.0)
    desk.wall += timedelta(days=40)
    desk.tell()
    desk.tell()
    assert titles() == []


def test_a_gap_is_told_and_a_short_one_is_not(desk: Desk) -> None:
    desk.tell()
    for seconds in (6.0, 40.0):
        desk.wall += timedelta(seconds=seconds)
        desk.elapsed_s += seconds
        desk.tell()
    assert titles() == [
        "The web process stood still for 40 s, until 2026-03-02 12:00:46 UTC.",
        "Nothing was watched for 40 s, until 2026-03-02 12:00:46 UTC.",
        "The worker process stood still for 40 s, until 2026-03-02 12:00:46 UTC.",
    ]
    (told,) = sentences()
    assert told.endswith("for 40 s, until 2026-03-02 12:00 UTC: the machine was suspended, or the process stopped")


def test_of_a_machine_that_slept_one_thing_is_said_and_of_a_process_that_stood_still_no_more_than_that(
    desk: Desk,
) -> None:
    desk.tell()
    desk.wall += timedelta(seconds=40)
    desk.elapsed_s += 40
    desk.tell()
    shown = [notice for notice in map(notices._read, notices.told()) if notice is not None]
    assert {notice.begun for notice in shown} == {NOON}
    beat, *_ = Process.objects.all()
    Process.objects.filter(pk=beat.pk).update(detail={"notices": notices.told()})
    (one,) = notices.current(desk.wall)
    assert one.title.startswith("Nothing was watched for 40 s")
    web = [notice for notice in notices.told() if notice["code"] == "gap.web"]
    Process.objects.filter(pk=beat.pk).update(detail={"notices": web})
    (one,) = notices.current(desk.wall)
    assert one.title.startswith("The web process stood still for 40 s")
    assert "grace" not in one.detail


def test_a_clock_that_was_set_back_while_nothing_ran_is_told_at_the_start(desk: Desk) -> None:
    write(clocks.CLOCK_SET, Subject("mainstay", 0, "h"), program("mainstay"), NOON + timedelta(hours=2),
          host="h", way="forward", span="2 h", by_s=7200.0, to=None)  # fmt: skip
    desk.tell()
    assert titles() == ["The clock was set back by 2 h."]
    assert len(sentences()) == 2
    Desk().tell()  # and not again by those that begin later
    assert len(sentences()) == 2
