"""The engine with real probes against real servers: on time, within limits, nothing lost."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Resolver
from mainstay.net.schedule import Schedule
from mainstay.observe.checks.kinds.http.probe import Probe
from mainstay.observe.checks.kinds.tests.servers import (
    Server,
    answer,
    answering,
    read_request,
    serving,
    unused_port,
)
from mainstay.observe.checks.probe.engine import Prober, Result
from mainstay.observe.checks.probe.outcome import Health
from mainstay.observe.checks.probe.tests.conftest import Receiver, planned

Make = Callable[..., Prober]


def test_the_engine_imports_no_django() -> None:
    code = (
        "import sys, mainstay.observe.checks.probe.engine; sys.exit(any(m.startswith('django') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.timing
def test_a_new_check_is_probed_at_once_and_on_its_grid(prober: Make, receiver: Receiver) -> None:
    engine = prober()
    with serving(answering()) as server:
        engine.update([planned(7, "http", {"url": server.url}, every_s=0.5, offset_s=0.2)])
        receiver.wait(lambda r: len(r.of(7)) >= 4)
    results = receiver.of(7)
    assert {result.outcome.health for result in results} == {Health.UP}
    for result in results[1:]:
        slot = (result.due_at - 0.2) / 0.5
        assert slot == pytest.approx(round(slot), abs=1e-5)
        assert 0 <= result.lateness_s < 0.2
    assert receiver.threads == {"probe-engine"}


@pytest.mark.timing
def test_many_checks_arrive_in_batches(prober: Make, receiver: Receiver) -> None:
    engine = prober()
    with serving(answering()) as server:
        engine.update(planned(key, "http", {"url": server.url}, every_s=60.0) for key in range(300))
        receiver.wait(lambda r: len(r.results) >= 300)
    assert {result.key for result in receiver.results} == set(range(300))
    assert len(receiver.batches) < 150


def test_every_kind_of_runner_delivers_through_the_same_thread(prober: Make, receiver: Receiver) -> None:
    engine = prober(commands_allowed=True)
    with serving(answering()) as server:
        engine.update(
            [
                planned(1, "http", {"url": server.url}),
                planned(2, "tcp", {"host": "127.0.0.1", "port": server.port}),
                planned(3, "command", {"command": ["true"]}),
            ]
        )
        receiver.wait(lambda r: len(r.results) == 3)
    assert {result.outcome.health for result in receiver.results} == {Health.UP}
    assert receiver.threads == {"probe-engine"}


def test_probe_now_answers_at_once_beside_the_grid(prober: Make, receiver: Receiver) -> None:
    engine = prober()
    with serving(answering()) as server:
        engine.update([planned(1, "http", {"url": server.url}, every_s=3600.0)])
        receiver.wait(lambda r: len(r.results) == 1)
        asked_at = time.time()
        engine.probe_now(1)
        engine.probe_now(99)
        receiver.wait(lambda r: len(r.results) == 2)
    assert receiver.results[1].due_at == pytest.approx(asked_at, abs=0.2)
    assert [result.extra for result in receiver.results] == [False, True]


def test_a_slot_that_falls_due_while_an_extra_probe_runs_is_served_and_counts(prober: Make, receiver: Receiver) -> None:
    engine = prober()
    with serving(answering()) as server:
        engine.update([planned(1, "http", {"url": server.url}, every_s=0.5)])
        receiver.wait(lambda r: len(r.results) >= 1)
        for _ in range(100):
            engine.probe_now(1)
            time.sleep(0.02)
    slots = [result.due_at for result in receiver.results if not result.extra]
    assert len(slots) >= 4, "as many as without extra probes"
    assert len(receiver.results) > 40


def test_changed_settings_are_used_and_removed_checks_fall_silent(prober: Make, receiver: Receiver) -> None:
    engine = prober()
    with serving(answering(body=b"one")) as first, serving(answering(500)) as second:
        engine.update([planned(1, "http", {"url": first.url}, every_s=0.3)])
        receiver.wait(lambda r: len(r.results) >= 2)
        engine.update([planned(1, "http", {"url": second.url}, every_s=0.3)])
        receiver.wait(lambda r: r.results[-1].outcome.code == 500)
        engine.update([], removed=[1])
        time.sleep(0.1)
        count = len(receiver.results)
        time.sleep(0.5)
        assert len(receiver.results) == count
    assert engine.figures().planned == 0


@pytest.mark.parametrize(
    ("kind", "settings", "times", "words"),
    [
        ("heartbeat", {"every": "1d"}, {}, "waits for pings"),
        ("http", {"url": "http://a/"}, {"timeout_s": 0}, "timeout"),
        ("http", {"url": "http://a/"}, {"every_s": 0.0, "timeout_s": 1.0}, "interval"),
        ("http", {"url": "http://a/"}, {"every_s": 5.0, "offset_s": 5.0}, "offset"),
    ],
)
def test_a_plan_that_can_not_be_is_refused_with_its_key(
    prober: Make, kind: str, settings: dict[str, object], times: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=f"check 5: .*{words}"):
        prober().update([planned(5, kind, settings, **times)])


@pytest.mark.timing
def test_slow_peers_do_not_delay_the_others(prober: Make, receiver: Receiver) -> None:
    engine = prober()
    hanging = Server(lambda connection: hanging.wait_ended(5))
    with serving(answering()) as server:
        engine.update(planned(key, "http", {"url": hanging.url}, every_s=10.0, timeout_s=2.0) for key in range(200))
        engine.update([planned(1000, "http", {"url": server.url}, every_s=0.2)])
        receiver.wait(lambda r: len(r.of(1000)) >= 6)
    late = sorted(result.lateness_s for result in receiver.of(1000))
    hanging.close()
    assert late[len(late) // 2] < 0.1


@pytest.mark.timing
def test_a_hard_timeout_holds_for_every_kind(prober: Make, receiver: Receiver) -> None:
    """All of these peers accept the connection and then say nothing, or never end."""
    engine = prober(commands_allowed=True)
    server = Server(lambda connection: server.wait_ended(10))
    here = {"host": "127.0.0.1", "port": server.port}
    checks: dict[str, dict[str, object]] = {
        "http": {"url": server.url},
        "tcp": {**here, "expect": {"contains": "x"}},
        "tls": here,
        "postgresql": here,
        "mysql": {**here, "username": "x"},
        "redis": here,
        "smtp": here,
        "websocket": {"url": f"ws://127.0.0.1:{server.port}/"},
        "dns": {"name": "a.test", "server": "127.0.0.1", "port": server.port, "transport": "tcp"},
        "command": {"command": ["sleep", "10"]},
    }
    engine.update(
        planned(key, kind, settings, every_s=60.0, timeout_s=0.5) for key, (kind, settings) in enumerate(checks.items())
    )
    receiver.wait(lambda r: len(r.results) == len(checks), 4.0)
    server.close()
    for result in receiver.results:
        kind = list(checks)[result.key]
        assert result.outcome.health is Health.DOWN, kind
        assert "did not" in result.outcome.message, (kind, result.outcome.message)
        assert result.outcome.duration_s < 1.0, (kind, result.outcome.duration_s)


@pytest.mark.timing
def test_a_hanging_name_server_neither_blocks_the_loop_nor_outlasts_the_timeout(
    prober: Make, receiver: Receiver
) -> None:
    answered = threading.Event()

    def lookup(host: str, family: int) -> list[str]:
        answered.wait(8)
        return ["127.0.0.1"]

    hanging: list[tuple[str, dict[str, object]]] = [
        ("http", {"url": "http://hang.test/"}),
        ("http", {"url": "http://hang.test/other"}),
        ("tcp", {"host": "hang.test", "port": 1}),
    ]
    engine = prober(resolver=Resolver(lookup, threads=4))
    with serving(answering()) as server:
        engine.update(
            planned(key, kind, settings, every_s=60.0, timeout_s=0.4) for key, (kind, settings) in enumerate(hanging)
        )
        engine.update([planned(10, "http", {"url": server.url}, every_s=0.2)])
        receiver.wait(lambda r: len(r.of(10)) >= 5 and sum(len(r.of(key)) for key in range(3)) == 3)
    answered.set()
    for key in range(3):
        outcome = receiver.of(key)[0].outcome
        assert outcome.health is Health.DOWN
        assert outcome.duration_s < 0.8
        assert "resol" in outcome.message
    assert max(result.lateness_s for result in receiver.of(10)) < 0.3


def test_look_ups_of_one_name_share_a_thread() -> None:
    calls: list[str] = []
    go = threading.Event()

    def lookup(host: str, family: int) -> list[str]:
        calls.append(host)
        go.wait(5)
        return ["127.0.0.1"]

    resolver = Resolver(lookup, threads=2)
    ended = threading.Semaphore(0)
    for _ in range(10):
        resolver.submit("same.test", 0, lambda resolution: ended.release())
    resolver.submit("other.test", 0, lambda resolution: ended.release())
    go.set()
    for _ in range(11):
        assert ended.acquire(timeout=5)
    assert sorted(calls) == ["other.test", "same.test"]
    resolver.submit("same.test", 0, lambda resolution: ended.release())
    assert ended.acquire(timeout=5)
    assert len(calls) == 3, "a later look-up asks again: nothing is cached"


def test_a_probe_is_never_started_twice_and_passed_slots_are_told(prober: Make, receiver: Receiver) -> None:
    engine = prober()
    at_once = [0]
    most = [0]

    def script(connection: socket.socket) -> None:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        read_request(connection)
        time.sleep(0.7)
        at_once[0] -= 1
        connection.sendall(answer())

    with serving(script) as server:
        engine.update([planned(1, "http", {"url": server.url}, every_s=0.2, timeout_s=2.0)])
        receiver.wait(lambda r: len(r.results) >= 3)
    assert most[0] == 1
    assert sum(int(result.outcome.facts.get("slots_overlapped", 0)) for result in receiver.results) >= 4
    assert engine.figures().slots_overlapped >= 4
    dues = [result.due_at for result in receiver.results]
    assert dues == sorted(set(dues))


def test_a_probe_that_ends_just_after_its_next_slot_is_followed_at_once(prober: Make, receiver: Receiver) -> None:
    """A timeout equal to the interval must not halve the rhythm."""
    server = Server(lambda connection: server.wait_ended(10))
    engine = prober()
    engine.update([planned(1, "http", {"url": server.url}, every_s=0.4, timeout_s=0.4)])
    receiver.wait(lambda r: len(r.results) >= 6)
    server.close()
    dues = [result.due_at for result in receiver.results[1:6]]
    assert dues[-1] - dues[0] == pytest.approx(4 * 0.4, abs=0.41)


def test_the_number_in_flight_is_bounded(prober: Make, receiver: Receiver) -> None:
    at_once: set[int] = set()
    most = [0]

    def script(connection: socket.socket) -> None:
        at_once.add(id(connection))
        most[0] = max(most[0], len(at_once))
        read_request(connection)
        time.sleep(0.05)
        at_once.discard(id(connection))
        connection.sendall(answer())

    engine = prober(max_in_flight=5)
    with serving(script) as server:
        engine.update(planned(key, "http", {"url": server.url}, every_s=60.0) for key in range(60))
        receiver.wait(lambda r: len(r.results) == 60)
    assert most[0] <= 5
    assert engine.figures().waiting == 0


def test_results_survive_a_receiver_that_fails(
    prober: Make, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [1]

    def failing(batch: list[Result]) -> None:
        if failures:
            failures.pop()
            raise RuntimeError("the database is away")
        receiver(batch)

    engine = prober(failing)
    with serving(answering()) as server:
        engine.update([planned(1, "http", {"url": server.url})])
        receiver.wait(lambda r: len(r.of(1)) == 1)
    assert "offered again" in caplog.text
    assert engine.figures().alive


@pytest.mark.parametrize("step", ["resolve_next", "begin", "finish", "judge"])
def test_a_defect_in_one_probe_does_not_stop_the_others(
    prober: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """Faults injected where no known input leads to one."""
    sound = getattr(Probe, step)

    def broken(transfer: Probe, *arguments: object) -> object:
        if transfer.plan.request.url.endswith("/broken") and transfer.outcome is None:
            raise RuntimeError("a defect")
        return sound(transfer, *arguments)

    monkeypatch.setattr(Probe, step, broken)
    engine = prober()
    with serving(answering()) as server:
        engine.update([planned(1, "http", {"url": f"{server.url}/broken"}, every_s=0.3)])
        engine.update([planned(2, "http", {"url": server.url}, every_s=0.3)])
        receiver.wait(lambda r: len(r.of(1)) >= 3 and len(r.of(2)) >= 3)
    assert {result.outcome.health for result in receiver.of(2)} == {Health.UP}
    assert all("a defect in the check type http (RuntimeError)" in result.outcome.message for result in receiver.of(1))
    assert "RuntimeError: a defect" in caplog.text
    assert engine.figures().in_flight <= 2


class Clock:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.mark.timing
@pytest.mark.parametrize("jump_s", [7200.0, -7200.0])
def test_a_clock_set_by_hours_neither_stops_nor_storms(prober: Make, receiver: Receiver, jump_s: float) -> None:
    clock = Clock()
    engine = prober(wall_clock=clock)
    with serving(answering()) as server:
        engine.update(planned(key, "http", {"url": server.url}, every_s=1.0, offset_s=key / 50) for key in range(50))
        receiver.wait(lambda r: len(r.results) >= 60)
        clock.ahead_s += jump_s
        jumped, before = time.perf_counter(), len(receiver.results)
        receiver.wait(lambda r: len({result.key for result in r.results[before:]}) == 50)
        assert time.perf_counter() - jumped < 2.5
        time.sleep(max(0.0, 1.0 - (time.perf_counter() - jumped)))
        assert len(receiver.results) - before <= 170


def test_stopping_waits_for_running_probes_and_delivers_them(receiver: Receiver) -> None:
    arrived = threading.Event()

    def script(connection: socket.socket) -> None:
        read_request(connection)
        arrived.set()
        time.sleep(0.3)
        connection.sendall(answer())

    engine = Prober(AddressPolicy(), receiver)
    engine.start()
    with serving(script) as server:
        engine.update([planned(1, "http", {"url": server.url})])
        assert arrived.wait(5)
        assert engine.stop(3.0)
    assert [result.outcome.health for result in receiver.results] == [Health.UP]
    assert not engine.figures().alive


@pytest.mark.timing
def test_stopping_does_not_wait_for_ever(receiver: Receiver) -> None:
    server = Server(lambda connection: server.wait_ended(10))
    engine = Prober(AddressPolicy(), receiver)
    engine.start()
    engine.update([planned(1, "http", {"url": server.url}, timeout_s=30.0)])
    engine.update([planned(2, "tcp", {"host": "127.0.0.1", "port": server.port, "expect": {"contains": "x"}})])
    while engine.figures().in_flight < 2:
        time.sleep(0.01)
    began = time.perf_counter()
    assert engine.stop(0.6)
    assert time.perf_counter() - began < 1.5
    assert receiver.results == [], "a probe that was cut off was neither up nor down"
    server.close()


@pytest.mark.timing
def test_a_blocked_engine_shows_its_lag(prober: Make) -> None:
    let_go, taken = threading.Event(), threading.Event()

    def blocking(batch: list[Result]) -> None:
        taken.set()
        let_go.wait(5)

    engine = prober(blocking)
    with serving(answering()) as server:
        engine.update([planned(1, "http", {"url": server.url})])
        assert taken.wait(5)
        time.sleep(0.5)
        lag = engine.figures().lag_s
        let_go.set()
    assert lag > 0.2
    time.sleep(0.2)
    assert engine.figures().lag_s < 0.1


def test_descriptors_and_threads_do_not_leak(prober: Make, receiver: Receiver) -> None:
    engine = prober()
    with serving(answering()) as server:
        checks = [planned(key, "http", {"url": server.url}, every_s=0.2, offset_s=key / 500) for key in range(40)]
        checks += [
            planned(100 + key, "tcp", {"host": "localhost", "port": server.port}, every_s=0.2) for key in range(10)
        ]
        checks += [
            planned(200 + key, "http", {"url": f"http://127.0.0.1:{unused_port()}/"}, every_s=0.2) for key in range(10)
        ]
        checks += [
            planned(300 + key, "http", {"url": f"http://localhost:{server.port}/"}, every_s=0.2) for key in range(10)
        ]
        engine.update(checks)
        receiver.wait(lambda r: len(r.results) >= 300)
        engine.update([], removed=[check.key for check in checks])
        deadline = time.perf_counter() + 3
        while engine.figures().in_flight and time.perf_counter() < deadline:
            time.sleep(0.02)
        assert engine.figures().in_flight == 0
        ours = [result for result in receiver.results if 200 <= result.key < 300]
        assert all(result.outcome.health is Health.DOWN for result in ours)
    time.sleep(0.2)
    sockets = [link for link in Path("/proc/self/fd").iterdir() if _target(link).startswith("socket")]
    assert len(sockets) < 40


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


# --- defects, and more than may run at once ---------------------------------------------------------------------------


class Panic(BaseException):
    """What a library in Rust raises when it panics: no `Exception`."""


@pytest.mark.timing
@pytest.mark.parametrize("defect", [RuntimeError, Panic])
@pytest.mark.parametrize("place", ["_start", "_due", "_next_hop", "_hop_done", "_end"])
def test_a_defect_met_by_one_check_takes_down_only_that(
    prober: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, place: str, defect: type[BaseException]
) -> None:
    engine = prober()
    real, met = getattr(engine, place), [0]

    def broken(first: Any, *rest: Any) -> Any:
        if getattr(first, "check", first).planned.key == 1:
            met[0] += 1
            raise defect("a defect")
        return real(first, *rest)

    with serving(answering()) as server:
        with monkeypatch.context() as patched:
            patched.setattr(engine, place, broken)
            engine.update(planned(key, "http", {"url": server.url}, every_s=0.2) for key in (1, 2))
            receiver.wait(lambda r: len(r.of(2)) >= 5 and met[0] >= 2)
            assert not receiver.of(1)
        assert engine.figures().defects >= 2
        receiver.wait(lambda r: len(r.of(1)) >= 2)
    assert max(result.lateness_s for result in receiver.of(2)) < 0.2
    assert receiver.of(1)[0].outcome.health is Health.UP
    if place != "_due":
        assert int(receiver.of(1)[0].outcome.facts["slots_skipped"]) >= 1


@pytest.mark.timing
def test_what_is_posted_and_fails_stops_nothing_and_a_loop_that_cannot_turn_is_late(
    prober: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = prober()

    def fail(*_given: object) -> None:
        raise Panic

    with serving(answering()) as server:
        engine.update([planned(1, "http", {"url": server.url}, every_s=0.2)])
        receiver.wait(lambda r: len(r.of(1)) >= 1)
        engine._post(fail)
        count = len(receiver.of(1))
        receiver.wait(lambda r: len(r.of(1)) >= count + 2)
        with monkeypatch.context() as patched:
            patched.setattr(Schedule, "due", fail)
            time.sleep(0.6)
            assert engine.figures().lag_s > 0.2
            assert engine.figures().alive
        count = len(receiver.of(1))
        receiver.wait(lambda r: len(r.of(1)) >= count + 2)
    assert engine.figures().lag_s < 0.2


@pytest.mark.fault("R12")
@pytest.mark.timing
def test_probes_that_are_due_and_wait_for_a_place_are_lag(prober: Make, receiver: Receiver) -> None:
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    engine = prober(max_in_flight=5)
    engine.update(planned(key, "http", {"url": url}, every_s=60.0, timeout_s=1.5) for key in range(10))
    deadline = time.monotonic() + 4
    while engine.figures().waiting_s <= 1.0 and time.monotonic() < deadline:
        time.sleep(0.01)
    figures = engine.figures()
    assert (figures.in_flight, figures.waiting, figures.max_in_flight) == (5, 5, 5)
    assert figures.lag_s < 0.5, "the loop itself is on time"
    assert not figures.by_descriptors
    receiver.wait(lambda r: len(r.results) == 10)
    assert engine.figures().waiting_s == 0.0
    silent.close()


def test_nothing_of_one_check_reaches_another_that_is_probed_after_it(prober: Make, receiver: Receiver) -> None:
    """They use the same handle of libcurl, one after the other: it keeps cookies whatever else is reset."""
    engine, seen = prober(max_in_flight=1), list[bytes]()
    with serving(answering(headers="Set-Cookie: session=1\r\n", seen=seen)) as server:
        mine: dict[str, Any] = {"url": server.url, "bearer": "t0k", "method": "POST", "body": "b0dy"}
        other: dict[str, Any] = {"url": server.url}
        for number, settings in enumerate([mine, other, mine, other, other, {**other, "headers": {"X-One": "yes"}}]):
            engine.update([planned(number, "http", settings)])
            receiver.wait(lambda r, number=number: len(r.results) == number + 1)  # type: ignore[misc]
    assert [result.outcome.health for result in receiver.results] == [Health.UP] * 6
    assert not any(b"Cookie" in request for request in seen)
    for request in (seen[1], seen[3], seen[4], seen[5]):
        assert request.startswith(b"GET / HTTP/1.1\r\n")
        assert b"t0k" not in request
        assert b"b0dy" not in request
    assert [b"X-One" in request for request in seen] == [False] * 5 + [True]


def test_a_cookie_goes_with_a_redirect_though_another_check_began_meanwhile(prober: Make, receiver: Receiver) -> None:
    seen: list[bytes] = []
    other_began, followed = threading.Event(), threading.Event()

    def lookup(host: str, family: int) -> list[str]:
        if seen:  # it is the redirect's name
            other_began.wait(3)
        return ["127.0.0.1"]

    def script(connection: socket.socket) -> None:
        seen.append(request := read_request(connection))
        if request.startswith(b"GET /away"):
            connection.sendall(answer(302, b"", "Location: /in\r\nSet-Cookie: s=1\r\n"))
            return
        (followed if request.startswith(b"GET /in") else other_began).set()
        followed.wait(3)
        connection.sendall(answer())

    engine = prober(resolver=Resolver(lookup, threads=2))
    with serving(script) as server:
        engine.update([planned(1, "http", {"url": f"http://shop.test:{server.port}/away"})])
        deadline = time.monotonic() + 5
        while not seen and time.monotonic() < deadline:
            time.sleep(0.01)
        engine.update([planned(2, "http", {"url": server.url})])
        receiver.wait(lambda r: len(r.results) == 2)
    assert {result.outcome.health for result in receiver.results} == {Health.UP}
    assert {request.split()[1]: b"Cookie: s=1" in request for request in seen} == {
        b"/away": False, b"/in": True, b"/": False,
    }  # fmt: skip
