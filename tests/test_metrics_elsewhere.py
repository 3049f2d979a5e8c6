"""The same rule gives the same alerts on the embedded store, on a real Prometheus and on VictoriaMetrics."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.clock import now
from mainstay.net.policy import AddressPolicy
from mainstay.observe.metrics.client import Client, MetricsAway, Server
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.scrape.state import PlannedScrape
from mainstay.observe.metrics.store import Store
from mainstay.respond.alerts.models import Alert
from mainstay.respond.rules import actions
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.sources import ServerSource, Source, StoreSource
from mainstay.respond.rules.models import Rule, RuleState
from mainstay.respond.rules.spec import RuleGroupSpec
from tests.peers import prometheus, served, victoria_metrics
from tests.program import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
RATIO = 'sum by (job) (rate(app_requests_total{code=~"5.."}[6s])) / sum by (job) (rate(app_requests_total[6s]))'


class Application:
    """Counts requests as time passes: 100 a second, of which a share fails. It has two counters from its beginning."""

    def __init__(self) -> None:
        self.share = 0.0
        self.fine = self.failed = 0.0
        self.at = time.monotonic()

    def text(self) -> str:
        at = time.monotonic()
        requests, self.at = (at - self.at) * 100, at
        self.fine += requests * (1 - self.share)
        self.failed += requests * self.share
        lines = [f'app_requests_total{{code="200"}} {self.fine}', f'app_requests_total{{code="500"}} {self.failed}']
        return "\n".join(["# TYPE app_requests_total counter", *lines, ""])


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def sources(application: Application, tmp_path: Path) -> Iterator[dict[str, Source]]:
    with (
        served(application.text) as target,
        prometheus(tmp_path / "prometheus", target) as first,
        victoria_metrics(tmp_path / "victoria", target) as second,
    ):
        store = Store(tmp_path / "store")
        scraper = Scraper(AddressPolicy("private-allowed"), store)
        settings = ScrapeSettings.model_validate({"targets": [f"127.0.0.1:{target}"]})
        scraper.update([PlannedScrape(1, "app", settings, 1.0, 1.0)])
        scraper.start()
        yield {
            "embedded": StoreSource(store, time.monotonic),
            "prometheus": ServerSource(Client(Server(first))),
            "victoria-metrics": ServerSource(Client(Server(second))),
        }
        scraper.stop(2)
        store.close()


def evaluations(sources: dict[str, Source], me: Actor) -> dict[str, Evaluation]:
    """A group of its own for each source, with the same rule."""
    found = {}
    for name, source in sources.items():
        rule = {"alert": "ErrorRate", "expr": f"{RATIO} > 0.05", "for": "2s", "labels": {"severity": "critical"}}
        spec = RuleGroupSpec.model_validate({"name": name, "interval": "1s", "rules": [rule]})
        group = actions.put_group(spec, me, now()).pk
        found[name] = Evaluation(
            source=lambda source=source: source,  # type: ignore[misc]
            mine=lambda asked, group=group: asked == group,  # type: ignore[misc]
            turn=lambda: 0,
            ready=lambda: True,
            external_url="",
        )
    return found


def alerts_of(name: str) -> list[Alert]:
    rule = Rule.objects.get(group__name=name)
    return list(Alert.objects.filter(source__startswith=f"rule:{rule.pk}:").order_by("id"))


def test_the_same_rule_gives_the_same_alerts_wherever_the_samples_are(
    sources: dict[str, Source], application: Application, me: Actor
) -> None:
    held = evaluations(sources, me)

    def watch(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for one in held.values():
                one.cycle(now() - timedelta(seconds=1), 1)  # what was scraped a second ago is everywhere
            time.sleep(0.25)

    watch(9)
    assert not Alert.objects.exists()
    application.share = 0.2
    watch(12)
    assert {name: [alert.ended_at for alert in alerts_of(name)] for name in held} == {name: [None] for name in held}
    labels = {"alertname": "ErrorRate", "job": "app", "severity": "critical"}
    assert all(alert.labels == labels for name in held for alert in alerts_of(name))
    starts = [alert.started_at for name in held for alert in alerts_of(name)]
    assert max(starts) - min(starts) <= timedelta(seconds=3)
    application.share = 0.0
    watch(14)
    ends = [alert.ended_at for name in held for alert in alerts_of(name)]
    assert len(ends) == len(held)
    known = [end for end in ends if isinstance(end, datetime)]
    assert len(known) == len(ends)
    assert max(known) - min(known) <= timedelta(seconds=3)


def test_a_server_that_is_away_makes_a_rule_unknown_never_fine(me: Actor) -> None:
    nowhere = Client(Server(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(MetricsAway):
        nowhere.query("up")
    held = evaluations({"away": ServerSource(nowhere)}, me)["away"]
    start = now()
    for second in range(20):
        held.cycle(start + timedelta(seconds=second), 1)
    state = RuleState.objects.get()
    assert state.health == "unknown"
    assert "does not answer" in state.reason
    assert not Alert.objects.exists()
