"""A store with a few series, and the API over it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from mainstay.observe.metrics.exposition import Family
from mainstay.observe.metrics.serve.answers import Prometheus
from mainstay.observe.metrics.store import Store

NOW_MS = 1_800_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Ten minutes of `requests_total` and `up` of two instances, every 15 s until `NOW_MS`."""
    found = Store(tmp_path / "store")
    labels = [
        {"__name__": name, "instance": instance, "job": "shop"}
        for name in ("requests_total", "up")
        for instance in "ab"
    ]
    layout, stream = found.layout(labels, "shop"), found.stream("shop", "shop")
    for step in range(41):
        at_ms = NOW_MS - (40 - step) * 15_000
        found.tick(at_ms)
        stream.put(at_ms, layout, np.array([step * 15.0, step * 30.0, 1.0, 0.0]))
    found.describe([Family("requests_total", "counter", "Requests answered.", "")])
    yield found
    found.close()


class Asked:
    """The API, asked by parameters; answers as Python values."""

    def __init__(self, store: Store) -> None:
        self.seconds = 0.0
        self.api = Prometheus(store, lambda: NOW_MS, self._clock, {"own": lambda _asked: ["ours"]})

    def _clock(self) -> float:
        return self.seconds

    def __call__(self, path: str, **given: str | list[str]) -> tuple[int, dict[str, object]]:
        """Ask for a path below /api/v1/; `match` stands for `match[]`."""
        parameters = {
            ("match[]" if name == "match" else name): [value] if isinstance(value, str) else value
            for name, value in given.items()
        }
        found = self.api.answer(f"/api/v1/{path}", parameters)
        return found.status, orjson.loads(found.body)

    def data(self, path: str, **given: str | list[str]) -> object:
        """Return the data of an answer that succeeds."""
        status, document = self(path, **given)
        assert (status, document["status"]) == (200, "success"), document
        return document["data"]

    def refused(self, path: str, **given: str | list[str]) -> tuple[int, object, object]:
        """Return status, type and message of an answer that fails."""
        status, document = self(path, **given)
        assert document["status"] == "error"
        return status, document["errorType"], document["error"]


@pytest.fixture
def ask(store: Store) -> Asked:
    """The API over `store`."""
    return Asked(store)
