"""promtool and Grafana ask unchanged: promtool is real, and what Grafana asks is answered in Prometheus' own shape."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from mainstay.foundation.accounts.actions import create_token
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.net.policy import AddressPolicy
from mainstay.observe.metrics.client import Client, Server
from mainstay.observe.metrics.pages import forward_views
from mainstay.observe.metrics.scrape.document import targets_document
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.scrape.state import PlannedScrape
from mainstay.observe.metrics.serve.answers import Prometheus
from mainstay.observe.metrics.serve.port import Port
from mainstay.observe.metrics.serve.targets import metadata, targets
from mainstay.observe.metrics.store import Store
from tests.peers import program, prometheus, served
from tests.program import free_port, until

pytestmark = pytest.mark.django_db
TEXT = """# HELP app_requests_total Requests answered.
# TYPE app_requests_total counter
app_requests_total{code="200"} 10
app_requests_total{code="500"} 1
# HELP app_temperature Of the room.
# TYPE app_temperature gauge
app_temperature 21.5
"""


class Both:
    """Mainstay's address with a token in it, and a real Prometheus', both scraping one target as job `app`."""

    def __init__(self, ours: str, theirs: str, token: str) -> None:
        self.ours, self.theirs, self.token = ours, theirs, token

    def ask(self, path: str, given: dict[str, Any], method: str) -> tuple[Any, Any]:
        return self._ask(self.ours, path, given, method), self._ask(self.theirs, path, given, method)

    def _ask(self, base: str, path: str, given: dict[str, Any], method: str) -> Any:
        encoded = urllib.parse.urlencode(given, doseq=True)
        url = f"{base}/api/v1/{path}" + (f"?{encoded}" if method == "GET" and encoded else "")
        request = urllib.request.Request(url, encoded.encode() if method == "POST" else None)
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("application/json")
            return json.loads(answer.read())


@pytest.fixture
def both(tmp_path: Path, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    with served(lambda: TEXT) as target, prometheus(tmp_path / "prometheus", target) as theirs:
        store = Store(tmp_path / "store")
        scraper = Scraper(AddressPolicy("private-allowed"), store)
        settings = ScrapeSettings.model_validate({"targets": [f"127.0.0.1:{target}"]})
        scraper.update([PlannedScrape(1, "app", settings, 1.0, 1.0)])
        scraper.start()
        extra = {
            "targets": lambda asked: targets(targets_document(scraper.targets(), scraper.scrapes()), asked),
            "targets/metadata": lambda asked: metadata(scraper.families(), asked),
        }
        api = Prometheus(store, lambda: round(time.time() * 1000), time.monotonic, extra)
        port = free_port()
        server = Port("127.0.0.1", port, CollectorRegistry(), api.answer, "inner", lambda given: False)
        inside = Client(Server(f"http://127.0.0.1:{port}/prometheus", {"Authorization": "Bearer inner"}))
        monkeypatch.setattr(forward_views, "client", lambda: inside)
        token = create_token("grafana", Role.SUPPORT, COMMAND_LINE, now())[1]
        one = Both(f"{live_server.url}/prometheus", theirs, token)
        until(lambda: len(one.ask("series", {"match[]": "app_temperature"}, "GET")[0]["data"]) == 1, "we have scraped")
        until(lambda: len(one.ask("series", {"match[]": "app_temperature"}, "GET")[1]["data"]) == 1, "so has the other")
        time.sleep(1.2)
        store.describe([family for _, families in scraper.families() for family in families])
        yield one
        server.stop()
        scraper.stop(2)
        store.close()


def shape(value: Any) -> Any:
    """What a client relies on: the keys at every place, and the kinds of what stands there."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


AT = {"start": "{start}", "end": "{end}"}
GRAFANA: list[tuple[str, dict[str, Any], str]] = [
    ("query", {"query": "1+1", "time": "{end}"}, "POST"),
    ("query", {"query": "app_temperature", "time": "{end}"}, "POST"),
    ("query", {"query": "app_requests_total[10s]", "time": "{end}"}, "GET"),
    ("query_range", {"query": "sum(app_requests_total)", "step": "1", **AT}, "POST"),
    ("series", {"match[]": ["app_temperature", "up"], **AT}, "POST"),
    ("labels", {"match[]": "app_requests_total", **AT}, "POST"),
    ("labels", dict(AT), "GET"),
    ("label/code/values", {"match[]": "app_requests_total", **AT}, "GET"),
    ("label/__name__/values", {"match[]": '{{job="app"}}', **AT}, "GET"),
    ("metadata", {"metric": "app_temperature"}, "GET"),
    ("status/buildinfo", {}, "GET"),
    ("query_exemplars", {"query": "app_requests_total", **AT}, "GET"),
    ("targets/metadata", {"metric": "app_temperature"}, "GET"),
    ("targets/metadata", {"match_target": '{{job="app"}}', "limit": "1"}, "GET"),
    ("alertmanagers", {}, "GET"),
    ("status/config", {}, "GET"),
    ("status/tsdb", {}, "GET"),
    ("status/walreplay", {}, "GET"),
    ("rules", {}, "GET"),
    ("alerts", {}, "GET"),
]


def test_what_grafana_asks_is_answered_in_the_shape_of_prometheus(both: Both) -> None:
    at = time.time()
    for path, given, method in GRAFANA:
        asked = {
            name: [text.format(start=at - 30, end=at) for text in (value if isinstance(value, list) else [value])]
            for name, value in given.items()
        }
        ours, theirs = both.ask(path, asked, method)
        assert shape(ours) == shape(theirs), (path, ours, theirs)
    ours, theirs = both.ask("label/code/values", {"match[]": "app_requests_total"}, "GET")
    assert ours == theirs == {"status": "success", "data": ["200", "500"]}
    ours, theirs = both.ask("metadata", {"metric": "app_requests_total"}, "GET")
    assert ours == theirs
    ours, theirs = both.ask("query", {"query": "sum by (code) (app_requests_total)", "time": f"{time.time()}"}, "GET")
    values = [{one["metric"]["code"]: one["value"][1] for one in each["data"]["result"]} for each in (ours, theirs)]
    assert values == [{"200": "10", "500": "1"}] * 2
    target = both.ask("targets", {}, "GET")[0]["data"]["activeTargets"][0]
    assert (target["health"], target["labels"]["job"]) == ("up", "app")


def test_promtool_queries_unchanged(both: Both) -> None:
    command = program("promtool")
    address = both.ours.replace("://", f"://anyone:{both.token}@")

    def asked(*arguments: str) -> str:
        done = subprocess.run([command, "query", *arguments], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert asked("instant", address, "app_temperature").startswith("app_temperature{")
    assert "=> 21.5 @[" in asked("instant", address, "app_temperature")
    assert "11 @[" in asked("range", "--step=1s", address, "sum(app_requests_total)")
    assert asked("labels", address, "code").split() == ["200", "500"]
    assert 'code="500"' in asked("series", "--match=app_requests_total", address)
    refused = subprocess.run(
        [command, "query", "instant", both.ours, "up"], capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
