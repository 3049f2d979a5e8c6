"""Looking names up: bounded and fair, so that a dead zone makes no good name look dead."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.resolver
import pytest

from mainstay.net.resolver import (
    THREADS,
    Asking,
    Resolution,
    Resolver,
    names_in,
    system_lookup,
    zone_of,
)
from mainstay.observe.checks.kinds.tests.servers import answering, serving
from mainstay.observe.checks.probe.engine import Prober
from mainstay.observe.checks.probe.outcome import Health
from mainstay.observe.checks.probe.tests.conftest import Receiver, planned

Make = Callable[..., Prober]


class Servers:
    """Name servers of which some zones hang until `answer` is set; the others answer at once."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.asked: list[str] = []
        self.hanging = 0
        self.most_hanging = 0
        self.answer = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, host: str, family: int) -> list[str]:
        with self._lock:
            self.asked.append(host)
        if host.endswith(self.dead):
            with self._lock:
                self.hanging += 1
                self.most_hanging = max(self.most_hanging, self.hanging)
            self.answer.wait(10)
            with self._lock:
                self.hanging -= 1
        return ["127.0.0.1"]


@contextmanager
def servers(*dead: str) -> Iterator[Servers]:
    made = Servers(*dead)
    try:
        yield made
    finally:
        made.answer.set()


def looked_up(resolver: Resolver, host: str, within_s: float = 0.5) -> Resolution | None:
    """The resolution, if it comes in time."""
    ended = threading.Event()
    found: list[Resolution] = []

    def done(resolution: Resolution) -> None:
        found.append(resolution)
        ended.set()

    ticket = resolver.submit(host, 0, done)
    if not ended.wait(within_s):
        ticket.give_up()
        return None
    return found[0]


def queue(resolver: Resolver, zone: str, number: int) -> None:
    for each in range(number):
        resolver.submit(f"n{each}.{zone}", 0, lambda _resolution: None)


# --- a dead zone beside good names ------------------------------------------------------------------------------------


def test_a_dead_zone_makes_no_good_name_late_or_down(prober: Make, receiver: Receiver) -> None:
    with servers(".dead.test") as names, serving(answering()) as server:
        engine = prober(resolver=Resolver(names, slow_s=0.3))
        engine.update(
            planned(key, "http" if key % 2 else "tcp",
                    {"url": f"http://n{key}.dead.test/"} if key % 2 else {"host": f"n{key}.dead.test", "port": 1},
                    every_s=1.0, timeout_s=0.8)
            for key in range(100)
        )  # fmt: skip
        good = ("localhost", "www.good.test", "fine.other.test")
        engine.update(
            planned(1000 + number, "http", {"url": f"http://{host}:{server.port}/"}, every_s=0.25, timeout_s=0.2)
            for number, host in enumerate(good)
        )
        receiver.wait(lambda r: all(len(r.of(1000 + number)) >= 12 for number in range(len(good))), 12)
        figures = engine.figures()
        for number in range(len(good)):
            results = receiver.of(1000 + number)
            assert {result.outcome.health for result in results} == {Health.UP}
            assert max(result.lateness_s for result in results) < 0.3
        of_dead = [result for result in list(receiver.results) if result.key < 1000]
    assert names.most_hanging <= 64 * 3 // 4
    asked = set(names.asked)
    assert {f"n{result.key}.dead.test" for result in of_dead} <= asked, "never asked about is never down"
    assert {result.outcome.health for result in of_dead} == {Health.DOWN}
    assert figures.unasked > 0
    assert figures.slots_skipped >= figures.unasked


def test_a_name_server_that_never_answers_is_one_zones_trouble(prober: Make, receiver: Receiver) -> None:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    port = silent.getsockname()[1]

    def lookup(host: str, family: int) -> list[str]:
        if not host.endswith(".dead.test"):
            return system_lookup(host, family)
        server = dns.resolver.Resolver(configure=False)
        server.nameservers, server.port = ["127.0.0.1"], port
        try:
            return [str(each) for each in server.resolve(host, "A", lifetime=3.0)]
        except dns.exception.Timeout:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer") from None

    with silent, serving(answering()) as server:
        engine = prober(resolver=Resolver(lookup))
        engine.update(
            planned(key, "http", {"url": f"http://n{key}.dead.test/"}, every_s=2.0, timeout_s=1.5) for key in range(100)
        )
        engine.update([planned(1000, "http", {"url": f"http://localhost:{server.port}/"}, every_s=0.25)])
        receiver.wait(lambda r: len(r.of(1000)) >= 10, 12)
    assert {result.outcome.health for result in receiver.of(1000)} == {Health.UP}
    assert max(result.lateness_s for result in receiver.of(1000)) < 0.3


# --- whose turn it is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zones", [1, 2, 8])
def test_a_name_of_another_zone_gets_its_turn_whatever_hangs(zones: int) -> None:
    dead = [f"d{number}.test" for number in range(zones)]
    with servers(*dead) as names:
        resolver = Resolver(names, slow_s=0.2)
        for zone in dead:
            queue(resolver, zone, 100)
        assert looked_up(resolver, "www.good.test", 1.0) is not None
        time.sleep(0.5)
        assert looked_up(resolver, "www.good.test", 0.3) is not None
        assert names.most_hanging <= 64


def test_zones_that_were_quick_and_die_leave_room_too() -> None:
    with servers(".dead.test") as names:
        names.answer.set()
        resolver = Resolver(names, slow_s=0.2)
        for each in range(100):
            assert looked_up(resolver, f"n{each}.dead.test") is not None
        names.answer.clear()
        queue(resolver, "dead.test", 100)
        for _ in range(3):
            assert looked_up(resolver, "www.good.test", 0.3) is not None
            time.sleep(0.2)
        assert names.most_hanging <= THREADS // 2, "the others have the other half"


def test_names_of_the_hosts_file_never_wait(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n10.0.0.7 db.lan Db2 # the database\n")
    assert names_in(hosts.read_text()) == {"localhost", "db.lan", "db2"}
    dead = [f"d{number}.test" for number in range(40)]
    with servers(*dead) as names:
        resolver = Resolver(names, threads=4, slow_s=0.2, hosts=hosts)
        for zone in dead:
            queue(resolver, zone, 3)
        time.sleep(0.5)
        for host in ("db.lan", "DB2", "localhost", "a.localhost"):
            assert looked_up(resolver, host, 0.3) is not None, host
        hosts.write_text("10.0.0.8 new.lan\n")
        time.sleep(2.1)
        assert looked_up(resolver, "new.lan", 0.3) is not None


def test_a_good_sibling_of_slow_names_is_as_quick_as_any_once_it_has_answered() -> None:
    with servers("dead.corp.test") as names:
        resolver = Resolver(names, slow_s=0.2)
        for each in range(10):
            resolver.submit(f"n{each}.dead.corp.test", 0, lambda _resolution: None)
        time.sleep(0.4)
        assert looked_up(resolver, "www.corp.test") is not None
        queue(resolver, "dead.corp.test", 200)
        assert looked_up(resolver, "www.corp.test", 0.3) is not None


def test_a_zone_that_answers_again_is_asked_as_before() -> None:
    with servers(".dead.test") as names:
        resolver = Resolver(names, slow_s=0.1)
        queue(resolver, "dead.test", 60)
        time.sleep(0.3)
        names.answer.set()
        for each in range(60):
            assert looked_up(resolver, f"n{each}.dead.test", 2.0) is not None
        deadline = time.monotonic() + 2
        while resolver.pending and time.monotonic() < deadline:
            time.sleep(0.01)
        assert resolver.pending == 0


def test_look_ups_that_nobody_waits_for_are_not_made() -> None:
    with servers(".dead.test") as names:
        resolver = Resolver(names, threads=4, slow_s=0.1)
        tickets = [resolver.submit(f"n{each}.dead.test", 0, lambda _resolution: None) for each in range(50)]
        time.sleep(0.3)
        for ticket in tickets:
            ticket.give_up()
        waiting = resolver.pending
        assert waiting <= 4, "only what runs is left"
        asked = [ticket for ticket in tickets if ticket.asked]
        assert len(asked) == len(names.asked) == waiting
        names.answer.set()
        assert looked_up(resolver, "n49.dead.test", 2.0) is not None
        assert len(names.asked) == waiting + 1


def test_slow_names_take_turns() -> None:
    with servers(".dead.test") as names:
        resolver = Resolver(names, threads=2, slow_s=0.05)
        queue(resolver, "dead.test", 4)
        time.sleep(0.3)
        names.answer.set()
        deadline = time.monotonic() + 3
        while resolver.pending and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sorted(names.asked) == [f"n{each}.dead.test" for each in range(4)]


def test_a_probe_whose_name_was_never_asked_about_knows() -> None:
    with servers(".dead.test") as names:
        resolver = Resolver(names, threads=2, slow_s=0.05)
        queue(resolver, "dead.test", 10)
        time.sleep(0.3)

        async def ask(host: str) -> bool:
            asking = Asking(resolver)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asking.resolve(host), 0.1)
            return asking.unasked

        assert asyncio.run(ask("late.dead.test"))
        assert not asyncio.run(ask(names.asked[0]))


def test_a_look_up_that_fails_by_a_defect_tells_whoever_waits() -> None:
    def lookup(host: str, family: int) -> list[str]:
        raise RuntimeError("no such library")

    found = looked_up(Resolver(lookup), "a.test")
    assert found is not None
    assert found.error == "no such library"


@pytest.mark.parametrize(
    ("host", "zone"),
    [
        ("www.example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("example.com.", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("www.example.co.uk", "example.co.uk"),
        ("api.shop.de", "shop.de"),
        ("db", "db"),
        ("", ""),
    ],
)
def test_a_name_belongs_to_a_zone(host: str, zone: str) -> None:
    assert zone_of(host) == zone
