"""A dead zone of the DNS beside good names: each is probed on time, and only what is dead is down."""

import socket
from collections.abc import Callable

import dns.exception
import dns.resolver
import pytest

from mainstay.net.resolver import Resolver, system_lookup
from mainstay.net.tests.name_servers import servers
from mainstay.observe.checks.kinds.tests.servers import answering, serving
from mainstay.observe.checks.probe.engine import Prober
from mainstay.observe.checks.probe.outcome import Health
from mainstay.observe.checks.probe.tests.conftest import Receiver, planned

Make = Callable[..., Prober]


@pytest.mark.fault("R3")
@pytest.mark.timing
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


@pytest.mark.timing
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
