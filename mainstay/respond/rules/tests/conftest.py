"""A store, and what evaluates rules on it, at travelled times."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.observe.metrics.promql.query import evaluate
from mainstay.observe.metrics.store import Store
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.sources import StoreSource
from mainstay.respond.rules.tests.test_evaluation import second, turn

ALL = 'sort_by_label({__name__=~"made|other|ALERTS|ALERTS_FOR_STATE"}, "__name__", "alertname")'


class Monitor:
    """A store and what evaluates rules on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begin()

    def begin(self) -> None:
        self.store = Store(self.folder)
        source = StoreSource(self.store, time.monotonic)
        self.rules = Evaluation(lambda: source, lambda _group: True, lambda: 0, lambda: True, "")

    def restart(self) -> None:
        self.store.close()
        self.begin()

    def turn(self, *seconds: float) -> None:
        for number in seconds:
            self.store.tick(ms(number))
            turn(self.rules, number)

    def there(self, at_s: float) -> list[str]:
        """Return what is there, each as its name and the alert's."""
        found = evaluate(ALL, self.store, ms(at_s)).rows()
        return [" ".join((labels["__name__"], labels.get("alertname", ""))).strip() for labels, _ in found]


def ms(second_: float) -> int:
    return round(second(second_).timestamp() * 1000)


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    made = Monitor(tmp_path / "store")
    yield made
    made.store.close()
