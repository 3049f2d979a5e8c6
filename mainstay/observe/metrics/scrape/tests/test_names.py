"""Names in quotes on the whole way: scraped, relabelled, stored, asked in PromQL and over the HTTP API."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from mainstay.observe.checks.kinds.tests.servers import serving
from mainstay.observe.metrics.promql.query import evaluate
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.intake import TooMuch
from mainstay.observe.metrics.scrape.tests.parts import TEXT, RecordingStore, exposing, planned, settled, until
from mainstay.observe.metrics.scrape.tests.test_repeated import AT_MS, intake
from mainstay.observe.metrics.serve.answers import Prometheus
from mainstay.observe.metrics.store import Store

Make = Callable[..., Scraper]
BODY = '# TYPE "http.requests" counter\n{"http.requests","host.name"="x",code="200"} 7\nplain{"host.name"="x"} 1\n'


@pytest.mark.fault("M11")
@pytest.mark.parametrize(
    "form", ["text/plain; version=1.0.0; escaping=allow-utf-8", "application/openmetrics-text; version=1.0.0"]
)
def test_targets_are_asked_for_names_in_quotes_and_give_them(form: str, scraper: Make, tmp_path: Path) -> None:
    kept = Store(tmp_path / "metrics")
    seen: list[bytes] = []
    body = BODY + ("# EOF\n" if "openmetrics" in form else "")
    with serving(exposing(body, form, seen)) as server:
        engine = scraper(store=kept)
        rules = [{"source_labels": ["host.name"], "target_label": "k8s.node", "replacement": "node-$1"}]
        engine.update([planned(1, server, name="shop", metric_relabel=rules)])
        assert settled(engine).error == ""
        until(lambda: len(kept.metadata()) > 0)
        found: Any = evaluate(
            'sum by ("host.name", "k8s.node") ({"http.requests", code="200"})', kept, int(time.time() * 1000)
        )
        ((labels, points),) = found.rows()
        assert labels == {"host.name": "x", "k8s.node": "node-x"}
        assert points[0][1] == 7.0
        assert kept.metadata()["http.requests"][0] == "counter"
        api = Prometheus(kept, lambda: int(time.time() * 1000), time.monotonic)
        names = orjson.loads(api.answer("/api/v1/label/__name__/values", {}).body)["data"]
        assert "http.requests" in names
        for path in ("label/U__host_2e_name/values", "label/host.name/values"):
            assert orjson.loads(api.answer(f"/api/v1/{path}", {}).body)["data"] == ["x"]
    (accept,) = {line for line in seen[0].split(b"\r\n") if line.lower().startswith(b"accept:")}
    assert accept.count(b"escaping=allow-utf-8") == 2
    assert b"text/plain;version=0.0.4" in accept
    engine.stop(3.0)
    kept.close()


@pytest.mark.fault("M11")
def test_relabelling_may_give_a_metric_any_name_but_none() -> None:
    store = RecordingStore()
    to = {"source_labels": ["__name__"], "regex": "a(.*)", "target_label": "__name__"}
    intake(store, to | {"replacement": "a.$1 €"}).take(b"ab 1\n", TEXT, AT_MS)
    assert store.keys("a.b €") == [{"__name__": "a.b €", "job": "shop"}]
    with pytest.raises(TooMuch, match="`metric_relabel` leaves the metric ab without a name"):
        intake(store, to | {"replacement": ""}).take(b"ab 1\n", TEXT, AT_MS)


@pytest.mark.fault("M11")
def test_a_series_label_that_the_target_has_too_is_kept_beside_it() -> None:
    store = RecordingStore()
    taking = intake(store)
    taking.take(b'{"a.b","job"="theirs"} 1\n', TEXT, AT_MS)
    assert store.keys("a.b") == [{"__name__": "a.b", "job": "shop", "exported_job": "theirs"}]
