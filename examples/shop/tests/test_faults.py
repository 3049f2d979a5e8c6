"""Each fault really does what it says, and no more."""

import time

import pytest

from examples.shop import fault
from examples.shop.faults import FAULTS, FaultError, parse_changes
from examples.shop.tests.conftest import PingRecorder, RunningShop, StartShop

MB = 1_000_000


@pytest.fixture
def faulty(start_shop: StartShop) -> RunningShop:
    return start_shop("--every", "3600")


def test_errors_raise_a_real_exception_with_its_stack_in_the_log(faulty: RunningShop) -> None:
    faulty.faults(errors=1)
    for path in ("/", "/products/1", "/search?q=mug", "/api/products"):
        assert faulty.get(path).status == 500
    answer = faulty.get("/", **{"X-Request-ID": "my-request"})
    assert "my-request" in answer.text
    assert "Traceback" not in answer.text
    line = faulty.wait_for_line(request_id="my-request", logger="shop.errors", level="error")
    exception = line["exception"]
    assert isinstance(exception, dict)
    assert exception["type"] == "examples.shop.faults.InjectedError"
    assert "faults.py" in exception["stack"]
    faulty.faults(errors=0)
    assert faulty.get("/").status == 200


def test_errors_at_a_rate_hit_about_that_share(faulty: RunningShop) -> None:
    faulty.faults(errors=0.5)
    failed = sum(faulty.get("/products/1").status == 500 for _ in range(60))
    assert 8 <= failed <= 52  # outside this once in 10⁸ runs


def test_operations_stay_reachable_while_the_shop_fails(faulty: RunningShop) -> None:
    faulty.faults(errors=1, latency=30)
    for path in ("/health", "/metrics", "/faults"):
        assert faulty.get(path).status == 200


def test_latency_delays_pages(faulty: RunningShop) -> None:
    faulty.faults(latency=0.4)
    started = time.monotonic()
    assert faulty.get("/products/1").status == 200
    assert time.monotonic() - started >= 0.4
    assert 'http_request_duration_seconds_bucket{handler="product",le="0.25"} 0' in faulty.get("/metrics").text


def test_a_crash_ends_the_process_at_once_with_status_1(faulty: RunningShop) -> None:
    answer = faulty.faults(crash=True)
    assert answer.status == 200
    assert faulty.wait_for_exit() == 1
    assert faulty.lines[-1]["level"] == "critical"


def test_a_leak_grows_the_resident_memory_and_keeps_it(faulty: RunningShop) -> None:
    before = faulty.metric("process_resident_memory_bytes")
    faulty.faults(leak=6000)
    give_up_at = time.monotonic() + 15
    while (leaked := faulty.get("/faults").json()["leaked_bytes"]) < 60 * MB:
        assert time.monotonic() < give_up_at, leaked
        time.sleep(0.05)
    faulty.faults(clear=True)
    kept = faulty.get("/faults").json()["leaked_bytes"]
    assert faulty.metric("process_resident_memory_bytes") - before >= 55 * MB
    time.sleep(0.6)
    assert faulty.get("/faults").json()["leaked_bytes"] == kept


@pytest.mark.timing
def test_a_slow_query_is_slow_in_sqlite_and_named_in_the_log_with_its_plan(faulty: RunningShop) -> None:
    quick = _query_seconds(faulty)
    faulty.faults(slow_query=1)
    slow = _query_seconds(faulty)
    assert quick < 0.25
    assert slow > 0.8
    line = faulty.wait_for_line(msg="slow query", query="search")
    assert "SCAN other" in str(line["plan"])
    assert faulty.get("/").status == 200


def test_a_stopped_job_neither_runs_nor_pings_and_shows_as_late(start_shop: StartShop, recorder: PingRecorder) -> None:
    shop = start_shop("--every", "0.1", "--heartbeat", recorder.url)
    recorder.wait_for(4)
    shop.faults(stopped_job=1)
    time.sleep(0.3)  # a run that had begun may end
    stopped_at = len(recorder.pings)
    last_run = shop.get("/health").json()["job"]
    time.sleep(0.5)
    health = shop.get("/health").json()
    assert len(recorder.pings) == stopped_at
    assert health["status"] == "degraded"
    assert isinstance(last_run, dict)
    assert health["job"] == last_run | {"status": "late"}
    shop.faults(stopped_job=0)
    recorder.wait_for(stopped_at + 2)
    shop.wait_for_line(msg="job done")


def test_a_locked_database_fails_writers_and_health_but_not_readers(faulty: RunningShop) -> None:
    faulty.faults(database_locked=30)
    assert faulty.get("/products/1").status == 200
    health = faulty.get("/health")
    assert health.status == 503
    assert health.json()["database"] == {"status": "down", "reason": "database is locked"}
    added = faulty.post_form("/cart", product_id=1, quantity=1)
    assert added.status == 503
    assert added.headers["Retry-After"] == "2"
    line = faulty.wait_for_line(logger="shop.errors")
    assert "database is locked" in str(line["exception"])
    faulty.faults(database_locked=0)
    assert faulty.post_form("/cart", product_id=1, quantity=1).status == 303


def test_a_locked_database_is_let_go_after_its_time(faulty: RunningShop) -> None:
    faulty.faults(database_locked=0.3)
    assert faulty.get("/faults").json()["faults"]["database_locked"]["active"] is True
    assert faulty.post_form("/cart", product_id=1, quantity=1).status == 303


def test_faults_end_with_the_process(start_shop: StartShop) -> None:
    first = start_shop("--every", "3600")
    first.faults(errors=1)
    first.close()
    assert start_shop("--every", "3600").get("/").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Host": "shop.example"},
        {"Host": "127.0.0.1.shop.example"},
    ],
)
def test_faults_from_elsewhere_are_refused(shop: RunningShop, headers: dict[str, str]) -> None:
    json_type = {"Content-Type": "application/json"}
    answer = shop.request("POST", "/faults", b'{"errors": 1}', json_type | headers)
    assert answer.status == 403
    assert shop.get("/").status == 200


def test_faults_sent_as_a_form_are_refused(shop: RunningShop) -> None:
    assert shop.post_form("/faults", errors=1).status == 415


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "Send an object"),
        ({}, "Send an object"),
        ({"error": 1}, "There is no fault 'error'; there are: errors, latency"),
        ({"errors": 2}, "errors must be a number from 0 to 1"),
        ({"errors": float("nan")}, "errors must be a number"),
        ({"latency": -1}, "latency must be a number"),
        ({"latency": 10**400}, "latency must be a number"),
        ({"latency": "long"}, "not 'long'"),
        ({"clear": False}, "only the value true"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_with_what_would(document: object, reason: str) -> None:
    with pytest.raises(FaultError, match=reason):
        parse_changes(document)


def test_true_is_the_usual_value_and_clear_switches_all_off() -> None:
    assert parse_changes({"latency": True, "errors": None, "leak": False}) == {"latency": 2, "errors": 0, "leak": 0}
    assert parse_changes({"clear": True}) == dict.fromkeys(FAULTS, 0)


def test_a_bad_change_changes_nothing(shop: RunningShop) -> None:
    answer = shop.faults(errors=1, latency="long")
    assert answer.status == 400
    assert "latency must be a number" in str(answer.json()["detail"])
    assert shop.get("/").status == 200


def test_the_command_switches_lists_and_clears(shop: RunningShop, capsys: pytest.CaptureFixture[str]) -> None:
    port = f"--port={shop.port}"
    assert fault.main(["latency", "0.01", port]) == 0
    assert "latency          on      0.01  seconds" in capsys.readouterr().out
    assert fault.main([port]) == 0
    assert "latency          on " in capsys.readouterr().out
    assert fault.main(["clear", port]) == 0
    assert " on " not in capsys.readouterr().out


def test_the_command_tells_what_is_wrong(shop: RunningShop, capsys: pytest.CaptureFixture[str]) -> None:
    assert fault.main(["errors", "2", f"--port={shop.port}"]) == 1
    assert "errors must be a number from 0 to 1" in capsys.readouterr().err
    assert fault.main(["errors", "--port=1"]) == 1
    assert "No shop answers at http://127.0.0.1:1/faults" in capsys.readouterr().err
    with pytest.raises(SystemExit) as wrong_usage:
        fault.main(["error"])
    assert wrong_usage.value.code == 2


def _query_seconds(shop: RunningShop) -> float:
    """Time SQLite took for one search, from the shop's own histogram."""
    name = 'shop_db_query_duration_seconds_sum{query="search"}'
    before = shop.metric(name) if name in shop.get("/metrics").text else 0.0
    assert shop.get("/search?q=lamp").status == 200
    return shop.metric(name) - before
