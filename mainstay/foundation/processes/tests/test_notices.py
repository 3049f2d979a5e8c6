"""What Mainstay says about itself, from a process to the pages."""

from datetime import datetime, timedelta

import pytest

from mainstay.foundation.processes import notices
from mainstay.foundation.processes.models import Process
from mainstay.foundation.processes.notices import Notice

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_told", {})
    monkeypatch.setattr(notices, "_sources", [])


def beats(noon: datetime, told: list[dict[str, object]]) -> None:
    Process.objects.create(
        role="worker", host="h", pid=1, boot="", started_at=noon, beat_at=noon, detail={"notices": told}
    )


def test_a_notice_is_heard_while_its_process_beats(noon: datetime) -> None:
    notices.tell("disk", "The disk is almost full.", "Free some space.", noon)
    beats(noon, notices.told())
    assert [one.code for one in notices.current(noon)] == ["disk"]
    assert notices.current(noon + timedelta(minutes=1)) == []


def test_telling_again_keeps_since_and_takes_the_new_words(noon: datetime) -> None:
    notices.tell("disk", "The disk is almost full.", "800 MB.", noon)
    notices.tell("disk", "The disk is almost full.", "700 MB.", noon + timedelta(hours=1))
    [one] = notices.told()
    assert (one["detail"], one["since"]) == ("700 MB.", noon.isoformat())
    notices.end("disk")
    notices.end("disk")
    assert notices.told() == []


def test_two_processes_that_say_the_same_are_heard_once_and_the_grave_comes_first(noon: datetime) -> None:
    notices.tell("clock", "The clock jumped.", "By an hour.", noon)
    beats(noon, notices.told())
    beats(noon, notices.told())
    notices.source(lambda now: [Notice("key", "The key does not fit.", "", True, now.isoformat())])
    assert [one.code for one in notices.current(noon)] == ["key", "clock"]


def test_what_another_version_says_is_passed_over(noon: datetime) -> None:
    beats(noon, [{"code": "x", "colour": "red"}])
    assert notices.current(noon) == []


def test_what_each_process_measured_for_itself_is_heard_once(noon: datetime) -> None:
    for lasted_s in (41, 40):
        title = f"Nothing was watched for {lasted_s} s."
        one = Notice("gap", title, "", False, (noon + timedelta(seconds=lasted_s)).isoformat())
        notices.source(lambda now, one=one: [one])  # type: ignore[misc]
    later = Notice("gap", "Nothing was watched for 40 s.", "", False, (noon + timedelta(minutes=9)).isoformat())
    other = Notice("gap", "Nothing was watched, for the machine slept.", "", False, noon.isoformat())
    notices.source(lambda now: [later, other])
    assert notices.current(noon)[::2] == [other, later]
    assert notices.current(noon)[1].title == "Nothing was watched for 41 s."
