"""Looking names up: bounded and fair, so that a dead zone makes no good name look dead."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from mainstay.net.resolver import (
    THREADS,
    Asking,
    Resolution,
    Resolver,
    names_in,
    zone_of,
)
from mainstay.net.tests.name_servers import servers


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


# --- whose turn it is -------------------------------------------------------------------------------------------------


@pytest.mark.timing
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


@pytest.mark.timing
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


@pytest.mark.timing
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


@pytest.mark.timing
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
