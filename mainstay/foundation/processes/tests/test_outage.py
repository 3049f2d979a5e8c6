"""What is said while the database refuses: when it begins, once a minute, at its end; and what people read of it."""

import logging
import sqlite3

import psycopg
import pytest
from django.db import DatabaseError, DataError, IntegrityError, OperationalError, ProgrammingError

from mainstay.foundation.processes.outage import Outage, is_refusal, words

LOCKED = OperationalError("database is locked")


@pytest.fixture
def outage(caplog: pytest.LogCaptureFixture) -> Outage:
    caplog.set_level(logging.INFO, "mainstay.processes")
    return Outage()


@pytest.mark.fault("R14")
def test_one_line_when_it_begins_one_a_minute_one_at_its_end(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    for tenth in range(1500):  # ten refusals a second, from three cycles, for two and a half minutes
        outage.refused(("beat", "flush", "send")[tenth % 3], LOCKED, 1000 + tenth / 10)
    for who in ("beat", "flush", "send", "beat"):
        outage.answered(who, 1150)
    assert [record.getMessage() for record in caplog.records] == [
        "beat: the database cannot be written: another program has locked it",
        "beat: the database cannot be written: another program has locked it, for 60 s, 601 refusals",
        "beat: the database cannot be written: another program has locked it, for 120 s, 1201 refusals",
        "the database answers again, after 150 s and 1500 refusals",
    ]


def test_it_is_over_for_all_when_it_is_over_for_each(outage: Outage) -> None:
    outage.refused("beat", LOCKED, 0)
    outage.refused("flush", LOCKED, 1)
    outage.answered("beat", 2)
    outage.refused("flush", LOCKED, 7)
    assert outage.present(7)
    assert outage.lasted_s(7) == 7
    outage.answered("flush", 8)
    assert (outage.present(8), outage.lasted_s(8)) == ("", 0)


def test_who_never_asks_again_does_not_keep_it_open(outage: Outage) -> None:
    outage.refused("pings", LOCKED, 0)
    outage.refused("beat", LOCKED, 1)
    outage.answered("beat", 62)
    assert outage.present(62) == ""


def test_one_busy_moment_is_no_outage(outage: Outage) -> None:
    outage.refused("flush", LOCKED, 0)
    assert outage.present(1) == ""


def test_a_request_that_was_refused_is_logged_once_a_minute_and_is_no_outage(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(90):
        outage.one_off("GET /", LOCKED, 100 + second)
    assert len(caplog.records) == 2
    assert outage.present(190) == ""


def test_a_beat_that_waits_to_be_written_is_no_answer(outage: Outage) -> None:
    outage.writing(100)
    assert outage.present(104) == ""
    assert outage.present(112) == "does not answer: a write has waited for 12 s"
    outage.writing(None)
    assert outage.present(113) == ""


def raised(error: DatabaseError, cause: BaseException) -> DatabaseError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LOCKED, "cannot be written: another program has locked it"),
        (OperationalError("database or disk is full"), "cannot be written: disk full"),
        (OperationalError("attempt to write a readonly database"), "cannot be written: it is read-only"),
        (raised(DatabaseError("file is not a database"), sqlite3.DatabaseError()), "is damaged"),
        (raised(OperationalError("no space"), psycopg.errors.DiskFull()), "cannot be written: disk full"),
        (
            raised(OperationalError("connection refused\n  Is it running?"), psycopg.OperationalError()),
            "does not answer (connection refused Is it running?)",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(error: DatabaseError, told: str) -> None:
    assert words(error) == told
    assert is_refusal(error)


@pytest.mark.parametrize("error", [DataError("NUL"), IntegrityError(), ProgrammingError("no such column"), KeyError()])
def test_a_defect_of_ours_is_no_refusal(error: Exception) -> None:
    assert not is_refusal(error)


def test_it_has_lasted_since_the_database_was_asked() -> None:
    outage = Outage()
    outage.refused("flush", LOCKED, 120.2)
    outage.refused("beat", LOCKED, 121.0, asked_at=101.0)
    outage.refused("beat", LOCKED, 142.0, asked_at=122.0)
    assert outage.lasted_s(161.0) == 60.0
