"""The explorer's pages, before a server that speaks the Prometheus API."""

import json
import math
from collections.abc import Iterator

import pytest
from django.test import Client

from mainstay.desk.tests.browser import exported, fragment, page, signed_in, title
from mainstay.foundation.accounts.permissions import Role
from mainstay.observe.metrics.tests.speaker import Speaker, asked_by_pages, speaking

pytestmark = pytest.mark.django_db


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Speaker]:
    with speaking() as one, asked_by_pages(monkeypatch, one.url):
        one.names = ["http_requests_total", "process_resident_memory_bytes", "up"]
        one.metadata = {"http_requests_total": [{"type": "counter", "help": "Requests <answered>."}]}
        one.labels = {"job": ["shop", 'a "quoted" one'], "code": ["200", "500"]}
        yield one


def complete(client: Client, text: str) -> dict[str, object]:
    before, _, after = text.partition("|")
    found: dict[str, object] = client.get("/metrics/complete", {"before": before, "after": after}).json()
    return found


def names(found: dict[str, object]) -> list[str]:
    options = found["options"]
    assert isinstance(options, list)
    return [option["name"] for option in options]


def test_the_answer_is_a_chart_and_a_table_with_the_unit(speaker: Speaker) -> None:
    speaker.says("process_resident_memory_bytes", [({"job": "shop"}, 2**20 * 64), ({"job": "web"}, 2**20 * 32)])
    html = page(signed_in(), "/metrics/explore", q="process_resident_memory_bytes", range="15m")
    assert title(html) == "2 series."
    assert "Over the last 15 minutes, a point every 5" in html
    assert html.count("data-points=") == 2
    assert '<span class="q">64<small>\N{NO-BREAK SPACE}MiB</small></span>' in html
    assert '<span class="muted">job</span> web' in html
    assert "data-line" in html


def test_one_series_is_answered_in_the_headline(speaker: Speaker) -> None:
    speaker.says("rate(http_requests_total[5m])", [({}, lambda at: 10 + math.sin(at))])
    html = page(signed_in(), "/metrics/explore", q="rate(http_requests_total[5m])")
    assert title(html).endswith("/s at most.")


def test_expressions_of_different_units_get_charts_of_their_own_and_letters(speaker: Speaker) -> None:
    speaker.says("up", [({"job": "shop"}, 1)])
    speaker.says("process_resident_memory_bytes", [({"job": "shop"}, 5e7)])
    answer = signed_in().get("/metrics/explore", {"q": ["up", "process_resident_memory_bytes"]})
    html = answer.content.decode()
    assert html.count("data-chart=") == 2
    assert '<span class="letter" aria-hidden="true">B</span>' in html


def test_too_many_series_are_cut_with_what_to_narrow_by(speaker: Speaker) -> None:
    speaker.says("up", [({"instance": f"host{i}"}, i) for i in range(25)])
    html = page(signed_in(), "/metrics/explore", q="up")
    assert "Showing 18 of 25 series: those with the highest last values. Narrow by instance (25 values)" in html
    assert html.count("data-points=") == 18


def test_an_error_stands_at_the_expression_with_its_place(speaker: Speaker) -> None:
    speaker.errors["sum("] = 'invalid parameter "query": 1:5: parse error: unexpected <end>'
    html = page(signed_in(), "/metrics/explore", q="sum(")
    assert title(html) == "That cannot be evaluated."
    assert 'aria-invalid="true"' in html
    assert '<code class="placed">sum(<mark>⏎</mark></code><span class="said">Unexpected &lt;end&gt;.</span>' in html


def test_an_error_of_the_second_expression_stands_at_the_second_field(speaker: Speaker) -> None:
    speaker.errors["bad("] = "1:1: parse error: no"
    speaker.says("up", [({}, 1)])
    answer = signed_in().get(
        "/metrics/explore", {"q": ["up", "", "bad("]}, headers={"HX-Request": "true", "HX-Target": "results"}
    )
    html = answer.content.decode()
    empty, error = html.partition('id="error-2"')[0], html.partition('id="error-2"')[2]
    assert "<mark>" not in empty
    assert "<mark>b</mark>" in error.partition("</div>")[0]


def test_no_series_is_told_calmly(speaker: Speaker) -> None:
    html = page(signed_in(), "/metrics/explore", q="nothing_like_it")
    assert title(html) == "No series matches."


def test_a_source_that_is_away_is_told_and_nothing_is_called_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    with asked_by_pages(monkeypatch, "http://127.0.0.1:1"):
        client = signed_in()
        for given in ({"q": "up"}, {}):
            html = page(client, "/metrics/explore", **given)
            assert title(html) == "The metrics do not answer."
            assert "rules say “unknown”, never “fine”" in html


def test_an_empty_store_teaches_the_next_step(speaker: Speaker) -> None:
    speaker.names = []
    html = page(signed_in(), "/metrics/explore")
    assert title(html) == "There are no metrics yet."
    assert 'href="/targets/"' in html


def test_without_a_question_the_metrics_are_listed_and_can_be_searched(speaker: Speaker) -> None:
    client = signed_in()
    html = page(client, "/metrics/explore")
    assert "Requests &lt;answered&gt;." in html
    assert "/metrics/explore?q=rate%28http_requests_total%5B5m%5D%29" in html
    found = client.get(
        "/metrics/explore", {"find": "resident"}, headers={"HX-Request": "true", "HX-Target": "browse"}
    ).content.decode()
    assert "process_resident_memory_bytes" in found
    assert "http_requests_total" not in found
    assert "<html" not in found


def test_the_answer_alone_is_sent_to_htmx_with_the_headline(speaker: Speaker) -> None:
    speaker.says("up", [({}, 1)])
    found = fragment(signed_in(), "/metrics/explore?q=up", "results").content.decode()
    assert found.lstrip().startswith('<div id="results"')
    assert '<span id="headline" hx-swap-oob="true">' in found
    assert "<html" not in found


def test_all_samples_can_be_exported(speaker: Speaker) -> None:
    speaker.says("up", [({"__name__": "up", "job": "shop"}, 1), ({"__name__": "up", "job": "web"}, math.nan)])
    client = signed_in()
    given = {"q": "up", "range": "custom", "from": "2026-03-02T12:00:00Z", "to": "2026-03-02T12:01:00Z", "step": "30"}
    rows = exported(client.get("/metrics/explore", given | {"format": "csv"})).splitlines()
    assert rows[0] == "expression,series,labels,at,value"
    assert len(rows) == 1 + 2 * 3
    assert "2026-03-02T12:00:30+00:00" in rows[2]
    document = json.loads(exported(client.get("/metrics/explore", given | {"format": "json"})))
    assert document[0] == {
        "expression": "up", "series": 'up{job="shop"}', "labels": {"__name__": "up", "job": "shop"},
        "at": "2026-03-02T12:00:00+00:00", "value": 1.0,
    }  # fmt: skip
    assert document[3]["value"] == "nan"


def test_the_address_of_exactly_this_time_is_offered(speaker: Speaker) -> None:
    speaker.says("up", [({}, 1)])
    html = page(signed_in(), "/metrics/explore", q="up")
    assert "range=custom&amp;from=20" in html


def test_only_who_may_write_rules_is_offered_to_make_one(speaker: Speaker) -> None:
    speaker.says("up == 0", [({}, 1)])
    assert "/rules/new?expr=up%20%3D%3D%200" in page(signed_in(Role.DEVOPS), "/metrics/explore", q="up == 0")
    assert "/rules/new" not in page(signed_in(Role.SUPPORT), "/metrics/explore", q="up == 0")


def test_pages_cost_few_queries_of_the_database(speaker: Speaker, django_assert_max_num_queries: object) -> None:
    speaker.says("up", [({"i": str(i)}, 1) for i in range(10)])
    client = signed_in()
    with django_assert_max_num_queries(4):  # type: ignore[operator]
        page(client, "/metrics/explore", q="up")


# --- completion -----------------------------------------------------------------------------------------------------


def test_metrics_come_with_type_and_help_then_functions(speaker: Speaker) -> None:
    found = complete(signed_in(), "htt|")
    options = found["options"]
    assert isinstance(options, list)
    assert options[0] == {
        "name": "http_requests_total", "insert": "http_requests_total", "kind": "metric", "detail": "counter",
        "doc": "Requests <answered>.",
    }  # fmt: skip
    assert names(complete(signed_in(), "ra|"))[:1] == ["rate"]


def test_labels_and_values_are_asked_for_the_series_that_are_meant(speaker: Speaker) -> None:
    client = signed_in()
    assert names(complete(client, "http_requests_total{co|}")) == ["code"]
    found = complete(client, 'http_requests_total{job="shop", code="5|')
    assert names(found) == ["500"]
    _, given = next(pair for pair in speaker.asked if pair[0].endswith("label/code/values"))
    assert given["match[]"] == ['http_requests_total{job="shop"}']
    quoted = complete(client, "up{job=|}")["options"]
    assert isinstance(quoted, list)
    assert quoted[0]["insert"] == '"a \\"quoted\\" one"'


def test_what_is_replaced_is_counted_as_the_browser_counts(speaker: Speaker) -> None:
    found = complete(signed_in(), 'up{job="\N{ROCKET}s|\N{ROCKET}"}')
    assert (found["back"], found["rest"]) == (3, 2)


def test_a_word_that_is_written_out_is_not_offered_again(speaker: Speaker) -> None:
    assert names(complete(signed_in(), "process_resident_memory_bytes|")) == []


def test_many_keystrokes_ask_the_server_once(speaker: Speaker) -> None:
    client = signed_in()
    for text in ("h|", "ht|", "htt|", "http|"):
        complete(client, text)
    paths = [path for path, _ in speaker.asked]
    assert paths.count("/api/v1/label/__name__/values") == paths.count("/api/v1/metadata") == 1


def test_what_is_not_there_yet_is_seen_as_soon_as_it_is(speaker: Speaker) -> None:
    client, speaker.names = signed_in(), []
    assert title(page(client, "/metrics/explore")) == "There are no metrics yet."
    speaker.names = ["http_requests_total"]
    assert title(page(client, "/metrics/explore")) == "What do the metrics say?"
    assert "http_requests_total" in names(complete(client, "htt|"))


def test_while_the_source_is_away_functions_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    with asked_by_pages(monkeypatch, "http://127.0.0.1:1"):
        found = complete(signed_in(), "hist|")
        assert names(found)[:1] == ["histogram_quantile"]
        assert "does not answer" in str(found["away"])
        assert names(complete(signed_in(), "up{|")) == []
