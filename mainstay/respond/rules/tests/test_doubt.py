"""A store that begins anew under open alerts: missing samples resolve nothing, what is over resolves."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mainstay.foundation.accounts.actor import Actor
from mainstay.observe.metrics.store import Coverage, Store
from mainstay.respond.alerts.models import Alert
from mainstay.respond.rules import actions
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.sources import StoreSource
from mainstay.respond.rules.models import RuleState
from mainstay.respond.rules.spec import RuleGroupSpec

pytestmark = pytest.mark.django_db
START = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
TAKEN_OVER_S = 600  # when the other host begins, with an empty store


class Host:
    """A monitor's store and rules."""

    def __init__(self, folder: Path, begun_s: float) -> None:
        self.store = Store(folder)
        self.coverage = Coverage.at(ms(begun_s), self.store.newest_ms)
        source = StoreSource(self.store, lambda: 0.0)
        self.rules = Evaluation(
            lambda: source, lambda _group: True, lambda: 0, lambda: True, "", coverage=lambda: self.coverage
        )

    def put(self, second: float, **values: float) -> None:
        for name, value in values.items():
            layout = self.store.layout([{"__name__": name, "job": "shop"}], "shop")
            self.store.stream(name, "shop").put(ms(second), layout, np.array([value]))

    def run(self, begin: int, end: int, **values: float) -> None:
        """Scrape and evaluate every 15 s."""
        for second in range(begin, end, 15):
            self.put(second, **values)
            self.rules.cycle(START + timedelta(seconds=second + 1), 1)


def ms(second: float) -> int:
    return round((START.timestamp() + second) * 1000)


def fires(me: Actor, expr: str) -> None:
    rule = {"alert": "Errors", "expr": expr, "labels": {"severity": "critical"}}
    actions.put_group(RuleGroupSpec.model_validate({"name": "shop", "interval": "15s", "rules": [rule]}), me, START)


def is_open() -> bool:
    return Alert.objects.get().ended_at is None


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    made = [Host(tmp_path / "one", 0)]
    yield made
    for host in made:
        host.store.close()


def taken_over(hosts: list[Host], tmp_path: Path, begun_s: float = TAKEN_OVER_S) -> Host:
    hosts.append(Host(tmp_path / "two", begun_s))
    return hosts[-1]


@pytest.mark.fault("R11")
@pytest.mark.parametrize("expr", ["errors > 5", "rate(hits[2m]) >= 0", "max_over_time(errors[5m]) > 5"])
def test_an_alert_that_is_true_stays_open_when_another_host_takes_over(
    me: Actor, hosts: list[Host], tmp_path: Path, expr: str
) -> None:
    fires(me, expr)
    hosts[0].run(0, TAKEN_OVER_S, errors=9.0, hits=3.0)
    assert is_open()
    other = taken_over(hosts, tmp_path)
    other.run(TAKEN_OVER_S, TAKEN_OVER_S + 90)  # nothing has been scraped yet
    assert is_open()
    assert "stay as they are" in RuleState.objects.get().reason
    other.run(TAKEN_OVER_S + 90, TAKEN_OVER_S + 600, errors=9.0, hits=3.0)
    assert is_open()
    assert Alert.objects.count() == 1


def test_an_alert_that_is_over_resolves_once_its_metric_has_been_seen(
    me: Actor, hosts: list[Host], tmp_path: Path
) -> None:
    fires(me, "errors > 5")
    hosts[0].run(0, TAKEN_OVER_S, errors=9.0)
    other = taken_over(hosts, tmp_path)
    other.run(TAKEN_OVER_S, TAKEN_OVER_S + 60)
    assert is_open()
    other.run(TAKEN_OVER_S + 60, TAKEN_OVER_S + 90, errors=1.0)
    assert not is_open()


def test_a_window_that_lies_mostly_before_the_takeover_ends_nothing(
    me: Actor, hosts: list[Host], tmp_path: Path
) -> None:
    fires(me, "max_over_time(errors[5m]) > 5")
    hosts[0].run(0, TAKEN_OVER_S, errors=9.0)
    other = taken_over(hosts, tmp_path)
    other.run(TAKEN_OVER_S, TAKEN_OVER_S + 270, errors=1.0)
    assert is_open()  # 9 may still lie within the five minutes
    other.run(TAKEN_OVER_S + 270, TAKEN_OVER_S + 360, errors=1.0)
    assert not is_open()


def test_what_fired_after_the_takeover_ends_as_ever(me: Actor, hosts: list[Host], tmp_path: Path) -> None:
    fires(me, "errors > 5")
    other = taken_over(hosts, tmp_path)
    other.run(TAKEN_OVER_S, TAKEN_OVER_S + 60, errors=9.0)
    assert is_open()
    other.run(TAKEN_OVER_S + 60, TAKEN_OVER_S + 600)  # the series has gone
    assert not is_open()


def test_after_a_restart_a_metric_that_was_there_before_counts_as_seen(
    me: Actor, hosts: list[Host], tmp_path: Path
) -> None:
    fires(me, "errors > 5")
    hosts[0].run(0, TAKEN_OVER_S, errors=9.0)
    hosts[0].store.flush()
    hosts[0].store.close()
    hosts[0] = Host(tmp_path / "one", TAKEN_OVER_S + 10)
    assert hosts[0].coverage.gap_ms < 30_000
    hosts[0].run(TAKEN_OVER_S + 15, TAKEN_OVER_S + 420)  # the target was removed meanwhile
    assert not is_open()


def test_an_alternative_that_never_existed_keeps_nothing_open(me: Actor, hosts: list[Host], tmp_path: Path) -> None:
    fires(me, "errors > 5 or faults_of_another_exporter > 5")
    hosts[0].run(0, TAKEN_OVER_S, errors=9.0)
    other = taken_over(hosts, tmp_path)
    other.run(TAKEN_OVER_S, TAKEN_OVER_S + 60, errors=1.0)
    assert not is_open()


def test_the_coverage_of_a_store() -> None:
    assert Coverage.at(ms(0), None).gap_ms == 3_600_000
    assert Coverage.at(ms(100), ms(40)) == Coverage(ms(100), 60_000)
    assert Coverage.at(ms(0), ms(10)).gap_ms == 0
    assert Coverage.at(ms(86_400), ms(0)).gap_ms == 3_600_000
