"""The job and its heartbeat."""

import time

import pytest

from examples.shop.database import LOCK_WAIT_S, Database
from examples.shop.faults import Faults
from examples.shop.job import LATE_AFTER_INTERVALS, Job, iso
from examples.shop.tests.conftest import PingRecorder, StartShop, held_write_lock

NOW = 1_800_000_000.0


def job_on(database: Database, url: str) -> Job:
    return Job(database, url, Faults(database), every_s=10)


def test_a_run_pings_start_and_then_success_with_what_it_did(database: Database, recorder: PingRecorder) -> None:
    assert job_on(database, recorder.url).run_once(NOW) is True
    (start, start_body), (end, end_body) = recorder.wait_for(2)
    assert (start, start_body, end) == ("/ping/stock/start", "", "/ping/stock")
    assert end_body.startswith("0 products restocked, 0 forgotten carts dropped in ")


def test_a_failed_run_pings_fail_with_the_reason(database: Database, recorder: PingRecorder) -> None:
    job = job_on(database, recorder.url + "/")
    with held_write_lock(database):
        assert job.run_once(NOW) is False
    assert recorder.wait_for(2)[1] == ("/ping/stock/fail", "OperationalError: database is locked")
    status = job.status(NOW + LOCK_WAIT_S)
    assert (status["last_run_at"], status["last_success_at"]) == (iso(NOW), None)


def test_a_monitor_that_is_away_does_not_fail_the_job(database: Database) -> None:
    assert job_on(database, "http://127.0.0.1:1/ping/stock").run_once(NOW) is True


def test_without_a_heartbeat_the_job_runs_all_the_same(database: Database) -> None:
    assert job_on(database, "").run_once(NOW) is True


@pytest.mark.timing
def test_a_monitor_that_hangs_does_not_hold_up_the_shop(start_shop: StartShop, recorder: PingRecorder) -> None:
    recorder.hang = True
    shop = start_shop("--every", "0.1", "--heartbeat", recorder.url)
    recorder.wait_for(1)
    started = time.monotonic()
    assert shop.get("/").status == 200
    assert time.monotonic() - started < 1.0
    shop.wait_for_line(msg="the heartbeat could not be delivered", reason="timed out")
    shop.wait_for_line(msg="job done")


def test_the_job_is_late_when_three_intervals_brought_no_success(database: Database) -> None:
    job = job_on(database, "")
    job.run_once(NOW)
    due_at = NOW + LATE_AFTER_INTERVALS * 10
    assert job.status(due_at)["status"] == "ok"
    assert job.status(due_at + 0.1)["status"] == "late"
