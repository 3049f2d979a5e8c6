"""Of what is well the pages say so: a ratio of errors is 0 before the first one, not missing."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from mainstay.foundation.accounts.actor import Actor
from mainstay.observe.metrics.exposition import Parser
from mainstay.observe.metrics.promql.query import evaluate
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.tests.conftest import ops  # noqa: F401  # a fixture
from mainstay.respond.rules import actions
from mainstay.respond.rules.files.starter_pack import packs
from mainstay.respond.rules.models import Rule
from mainstay.respond.rules.pages import listing, views
from mainstay.respond.rules.spec import RuleGroupSpec
from mainstay.respond.rules.tests.conftest import Monitor, ms
from mainstay.respond.rules.tests.test_evaluation import START, second

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ops"), pytest.mark.fault("M20")]
ROOT = Path(__file__).parents[4]
SHOP = yaml.safe_load((ROOT / "examples" / "shop.rules.yml").read_text(encoding="utf-8"))
HTTP = next(yaml.safe_load(pack.text) for pack in packs() if pack.name == "http")
DOCUMENT = next(
    yaml.safe_load(text)
    for text in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "rules.md").read_text(encoding="utf-8"), re.DOTALL)
    if text.startswith("groups:")
)


def exposed(code: str, requests: float, now_s: float) -> bytes:
    """What a service exposes that has answered so many requests, all with one status."""
    return f"""
http_requests_total{{handler="/",method="GET",code="200"}} {requests}
{f'http_requests_total{{handler="/",method="GET",code="{code}"}} {requests / 2}' if code else ""}
http_request_duration_seconds_bucket{{handler="/",le="0.1"}} {requests}
http_request_duration_seconds_bucket{{handler="/",le="+Inf"}} {requests}
shop_job_last_success_timestamp_seconds{{exported_job="reconcile-stock"}} {now_s}
""".encode()


def watch(
    me: Actor,
    monitor: Monitor,
    document: dict[str, list[dict[str, object]]],
    code: str,
    rate: float,
    until_s: int = 300,
) -> None:
    """Scrape and evaluate for a while."""
    for group in document["groups"]:
        actions.put_group(RuleGroupSpec.model_validate(group), me, START)
    stream = monitor.store.stream("shop", "shop")
    for number in range(0, until_s + 1, 5):
        found = Parser().parse(exposed(code, number * rate, second(number).timestamp()))
        labels = [{**one, "job": "shop", "instance": "a"} for one in found.layout.label_sets()]
        monitor.store.tick(ms(number))
        stream.put(ms(number), monitor.store.layout(labels, "shop"), np.asarray(found.values))
        monitor.turn(number)


def health(at_s: float = 301) -> dict[str, str]:
    found = listing.rows(Rule.objects.order_by("position"), second(at_s))
    return {row.name: row.known_health for row in found}


@pytest.mark.parametrize("rate", [1, 0], ids=["with visits", "without visits"])
def test_the_example_s_rules_are_fine_on_a_shop_that_is_well(me: Actor, monitor: Monitor, rate: float) -> None:
    watch(me, monitor, SHOP, "", rate)
    found = listing.rows(Rule.objects.order_by("position"), second(301))
    assert set(health().values()) == {"ok"}
    assert listing.headline(found, filtered=False) == "None of 3 alerting rules fires."
    assert listing.counted(found) == "3 not firing · 1 recording"
    assert views.headline(found[0]) == "shop:error_ratio:rate1m is recorded: 1 series."
    assert views.headline(found[1]) == "ShopErrorRate does not fire."
    assert not Alert.objects.exists()
    if rate:
        assert evaluate("shop:error_ratio:rate1m", monitor.store, ms(300)).scalar == 0


def test_the_example_s_rule_fires_on_errors(me: Actor, monitor: Monitor) -> None:
    watch(me, monitor, SHOP, "500", 1)
    assert Alert.objects.get().labels["alertname"] == "ShopErrorRate"


def test_of_a_shop_that_nobody_scrapes_it_is_told(me: Actor, monitor: Monitor) -> None:
    """A 0 in place of missing errors must not hide that nothing is measured."""
    for group in SHOP["groups"]:
        actions.put_group(RuleGroupSpec.model_validate(group), me, START)
    monitor.turn(0, 5, 15)
    assert set(health(16).values()) == {"no_series"}


@pytest.mark.parametrize("code", ["", "404"])
def test_the_starter_rules_are_fine_on_a_service_that_is_well(me: Actor, monitor: Monitor, code: str) -> None:
    watch(me, monitor, HTTP, code, 1, 900)  # HttpTrafficGone looks back for ten minutes and more
    assert set(health(901).values()) == {"ok"}
    names = set(Alert.objects.values_list("labels__alertname", flat=True))
    assert "HttpErrorRateHigh" not in names
    assert evaluate("job:http_errors:rate5m", monitor.store, ms(300)).scalar == 0


def test_the_rules_of_the_document_are_fine_on_a_service_that_is_well(me: Actor, monitor: Monitor) -> None:
    watch(me, monitor, DOCUMENT, "", 1)
    assert health() == {"job:http_errors:ratio5m": "ok", "ErrorRate": "ok"}
