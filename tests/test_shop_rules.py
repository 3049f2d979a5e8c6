"""The shop answers 8 % of its requests with errors for five minutes: a rule from a Prometheus file fires and resolves.

The shop is real and so are its requests and its metrics; only the clock is travelled.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.shop.tests.conftest import RunningShop
from mainstay.config.apply import apply_text
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.observe.metrics.scrape.intake import Intake
from mainstay.observe.metrics.scrape.relabel import Relabelling
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.store import Store
from mainstay.respond.alerts.models import Alert
from mainstay.respond.delivery.models import Delivery
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.sources import StoreSource
from mainstay.respond.rules.models import Instance

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVERY_S = 15
RULES = """
groups:
  - name: shop
    rules:
      - alert: ErrorRate
        expr: |
          sum(rate(http_requests_total{job="shop",code=~"5.."}[5m])) / sum(rate(http_requests_total{job="shop"}[5m]))
            > 0.05
        for: 5m
        labels: {severity: critical}
        annotations:
          summary: "error rate is {{ $value | humanizePercentage }}"
          first_step: See which handler fails.
"""
PAGING = """
channels:
  - {name: ops, webhook: {url: "http://127.0.0.1:9999/hook"}}
routes:
  - {match: {severity: critical}, notify: [ops]}
"""


class Watched:
    """A shop that is visited and scraped at travelled times."""

    def __init__(self, shop: RunningShop, folder: Path) -> None:
        self.shop, self.store, self.at = shop, Store(folder), START
        labels = {"job": "shop", "instance": "127.0.0.1:9001"}
        settings = ScrapeSettings.model_validate({"targets": ["127.0.0.1:9001"]})
        self.intake = Intake(self.store, "shop", "shop", labels, settings, Relabelling([]))
        source = StoreSource(self.store, lambda: 0.0)
        self.rules = Evaluation(
            source=lambda: source, mine=lambda _group: True, turn=lambda: 0, ready=lambda: True, external_url=""
        )

    def visit(self, share: float, requests: int = 25) -> None:
        """Ask the shop; `share` of the requests meet an error."""
        failing = round(requests * share)
        for _ in range(requests - failing):
            assert self.shop.get("/").status == 200
        if failing:
            self.shop.faults(errors=1)
            for _ in range(failing):
                assert self.shop.get("/").status == 500
            self.shop.faults(clear=True)

    def turn(self, minutes: float, share: float) -> None:
        """Let time pass: visits, a scrape and an evaluation every 15 s."""
        until = self.at + timedelta(minutes=minutes)
        while self.at < until:
            self.at += timedelta(seconds=EVERY_S)
            self.visit(share)
            at_ms = round(self.at.timestamp() * 1000) - 1000
            self.store.tick(at_ms)
            self.intake.take(self.shop.get("/metrics").body, "text/plain; version=0.0.4", at_ms)
            self.rules.cycle(self.at, 1)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    shop = RunningShop(tmp_path / "shop")
    found = Watched(shop, tmp_path / "metrics")
    yield found
    found.store.close()
    shop.close()


@pytest.mark.long
def test_eight_per_cent_errors_for_five_minutes_page_and_their_end_resolves(watched: Watched) -> None:
    assert apply_text(RULES, "shop.rules.yml", COMMAND_LINE, START).applied  # a Prometheus rule file, as it is
    assert apply_text(PAGING, "paging.yaml", COMMAND_LINE, START).applied
    watched.turn(6, 0.0)
    assert not Instance.objects.exists()
    watched.turn(4, 0.08)
    assert not Alert.objects.exists()
    watched.turn(6, 0.08)
    alert = Alert.objects.get()
    assert alert.ended_at is None
    assert alert.value is not None
    assert 0.05 < alert.value < 0.09
    assert alert.name.startswith("error rate is ")
    assert alert.annotations["first_step"] == "See which handler fails."
    assert [(row.event, row.channel_name) for row in Delivery.objects.order_by("id")] == [("trigger", "ops")]
    watched.turn(6, 0.0)
    alert.refresh_from_db()
    assert alert.ended_at is not None
    assert [row.event for row in Delivery.objects.order_by("id")] == ["trigger", "resolve"]
