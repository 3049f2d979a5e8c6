import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mainstay.net.policy import AddressPolicy
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.probe.engine import Planned, Prober, Result


class Receiver:
    """Collects results; `wait` blocks until a condition on them holds."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def __call__(self, batch: list[Result]) -> None:
        with self._changed:
            self.results += batch
            self.batches.append(len(batch))
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def of(self, key: int) -> list[Result]:
        return [result for result in list(self.results) if result.key == key]

    def wait(self, until: Callable[["Receiver"], bool], timeout_s: float = 8.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: until(self), timeout_s), f"only {len(self.results)} results came"


def planned(key: int, kind: str, settings: dict[str, Any], **times: float) -> Planned:
    every_s = times.get("every_s", 60.0)
    return Planned(
        key,
        kind,
        KINDS[kind].Settings.model_validate(settings),
        every_s,
        times.get("timeout_s", min(5.0, every_s)),
        times.get("offset_s", 0.0),
    )


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def prober(receiver: Receiver) -> Iterator[Callable[..., Prober]]:
    """Makes started probers and stops them in the end."""
    made: list[Prober] = []

    def make(on_results: Callable[[list[Result]], None] | None = None, **options: Any) -> Prober:
        policy = options.pop("policy", None) or AddressPolicy()
        engine = Prober(policy, on_results or receiver, **options)
        engine.start()
        made.append(engine)
        return engine

    yield make
    for engine in made:
        began = time.perf_counter()
        assert engine.stop(3.0), "the engine must end"
        assert time.perf_counter() - began < 4.0
