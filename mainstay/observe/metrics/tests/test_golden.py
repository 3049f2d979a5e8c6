"""Which query tells each golden signal, by the metrics that there are; and the fragment on an application's page."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.desk.tests.browser import fragment, page, signed_in
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.actions import put_application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.clock import now
from mainstay.observe.metrics.pages import golden, units
from mainstay.observe.metrics.pages.golden import Seen, Signal, choose
from mainstay.observe.metrics.tests.speaker import Speaker, asked_by_pages, speaking

S = 'application="shop"'


def seen(**metrics: str) -> list[Seen]:
    """`http_requests_total="code method"`"""
    return [Seen(name, frozenset(labels.split()), S) for name, labels in metrics.items()]


RATE, ERRORS, LATENCY, SATURATION = Signal
CASES: dict[str, tuple[list[Seen], dict[Signal, str]]] = {
    "the common names": (
        seen(http_requests_total="code", http_request_duration_seconds_bucket="", process_cpu_seconds_total=""),
        {
            RATE: f"sum(rate(http_requests_total{{{S}}}[5m]))",
            ERRORS: f'(sum(rate(http_requests_total{{{S},code=~"5.."}}[5m])) or vector(0))'
            f" / sum(rate(http_requests_total{{{S}}}[5m]))",
            LATENCY: f"histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{{{S}}}[5m])))",
            SATURATION: f"max(rate(process_cpu_seconds_total{{{S}}}[5m]))",
        },
    ),
    "OpenTelemetry before the common name": (
        seen(http_requests_total="code", http_server_request_duration_seconds_count="http_response_status_code"),
        {
            RATE: f"sum(rate(http_server_request_duration_seconds_count{{{S}}}[5m]))",
            ERRORS: f"(sum(rate(http_server_request_duration_seconds_count{{{S},"
            'http_response_status_code=~"5.."}[5m])) or vector(0))'
            f" / sum(rate(http_server_request_duration_seconds_count{{{S}}}[5m]))",
        },
    ),
    "what tells failures before what does not": (
        seen(http_server_request_duration_seconds_count="", http_requests_total="status"),
        {
            RATE: f"sum(rate(http_requests_total{{{S}}}[5m]))",
            ERRORS: f'(sum(rate(http_requests_total{{{S},status=~"5.."}}[5m])) or vector(0))'
            f" / sum(rate(http_requests_total{{{S}}}[5m]))",
        },
    ),
    "Django": (
        seen(
            django_http_requests_before_middlewares_total="",
            django_http_exceptions_total_by_type_total="",
            django_http_requests_latency_seconds_by_view_method_bucket="",
        ),
        {
            RATE: f"sum(rate(django_http_requests_before_middlewares_total{{{S}}}[5m]))",
            ERRORS: f"(sum(rate(django_http_exceptions_total_by_type_total{{{S}}}[5m])) or vector(0))"
            f" / sum(rate(django_http_requests_before_middlewares_total{{{S}}}[5m]))",
            LATENCY: "histogram_quantile(0.95, sum by (le) "
            f"(rate(django_http_requests_latency_seconds_by_view_method_bucket{{{S}}}[5m])))",
        },
    ),
    "Django that counts responses by status": (
        seen(django_http_responses_total_by_status_total="status", django_http_requests_before_middlewares_total=""),
        {
            RATE: f"sum(rate(django_http_responses_total_by_status_total{{{S}}}[5m]))",
            ERRORS: f'(sum(rate(django_http_responses_total_by_status_total{{{S},status=~"5.."}}[5m])) or vector(0))'
            f" / sum(rate(django_http_responses_total_by_status_total{{{S}}}[5m]))",
        },
    ),
    "Flask": (
        seen(flask_http_request_total="status", flask_http_request_duration_seconds_bucket="status"),
        {
            RATE: f"sum(rate(flask_http_request_total{{{S}}}[5m]))",
            ERRORS: f'(sum(rate(flask_http_request_total{{{S},status=~"5.."}}[5m])) or vector(0))'
            f" / sum(rate(flask_http_request_total{{{S}}}[5m]))",
            LATENCY: "histogram_quantile(0.95, sum by (le) "
            f"(rate(flask_http_request_duration_seconds_bucket{{{S}}}[5m])))",
        },
    ),
    "Starlette": (
        seen(
            starlette_requests_total="",
            starlette_exceptions_total="",
            starlette_requests_in_progress="",
            starlette_requests_processing_time_seconds_sum="",
            starlette_requests_processing_time_seconds_count="",
        ),
        {
            RATE: f"sum(rate(starlette_requests_total{{{S}}}[5m]))",
            ERRORS: f"(sum(rate(starlette_exceptions_total{{{S}}}[5m])) or vector(0))"
            f" / sum(rate(starlette_requests_total{{{S}}}[5m]))",
            LATENCY: f"sum(rate(starlette_requests_processing_time_seconds_sum{{{S}}}[5m]))"
            f" / sum(rate(starlette_requests_processing_time_seconds_count{{{S}}}[5m]))",
            SATURATION: f"sum(starlette_requests_in_progress{{{S}}})",
        },
    ),
    "nginx, whose exporter knows no status": (
        seen(nginx_http_requests_total="", nginx_connections_active=""),
        {
            RATE: f"sum(rate(nginx_http_requests_total{{{S}}}[5m]))",
            SATURATION: f"sum(nginx_connections_active{{{S}}})",
        },
    ),
    "gRPC": (
        seen(grpc_server_handled_total="grpc_code", grpc_server_handling_seconds_bucket=""),
        {
            RATE: f"sum(rate(grpc_server_handled_total{{{S}}}[5m]))",
            ERRORS: f'(sum(rate(grpc_server_handled_total{{{S},grpc_code!="OK"}}[5m])) or vector(0))'
            f" / sum(rate(grpc_server_handled_total{{{S}}}[5m]))",
            LATENCY: f"histogram_quantile(0.95, sum by (le) (rate(grpc_server_handling_seconds_bucket{{{S}}}[5m])))",
        },
    ),
    "only checks": (
        seen(probe_success="", probe_duration_seconds=""),
        {
            ERRORS: f"1 - avg(avg_over_time(probe_success{{{S}}}[5m]))",
            LATENCY: f"max(avg_over_time(probe_duration_seconds{{{S}}}[5m]))",
        },
    ),
    "a container with a limit before the process": (
        seen(
            container_memory_working_set_bytes="",
            container_spec_memory_limit_bytes="",
            process_cpu_seconds_total="",
        ),
        {
            SATURATION: f"max(container_memory_working_set_bytes{{{S}}}"
            f" / (container_spec_memory_limit_bytes{{{S}}} > 0))",
        },
    ),
    "a container without a limit": (
        seen(container_memory_working_set_bytes="", process_resident_memory_bytes=""),
        {SATURATION: f"max(process_resident_memory_bytes{{{S}}})"},
    ),
    "the host": (
        seen(node_cpu_seconds_total="mode"),
        {SATURATION: f'max(1 - avg by (instance) (rate(node_cpu_seconds_total{{{S},mode="idle"}}[5m])))'},
    ),
    "nothing": ([], {}),
    "nothing known": (seen(shop_orders_total="code"), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_signal_comes_from_the_best_that_there_is(case: str) -> None:
    given, expected = CASES[case]
    assert {signal: one.query for signal, one in choose(given).items()} == expected


def test_the_choice_says_why_and_what_else_there_is() -> None:
    found = choose(seen(http_requests_total="code", nginx_http_requests_total=""))
    assert found[RATE].why == (
        "the common name: it counts requests, and its label code tells how they ended."
        " nginx_http_requests_total is there, too."
    )
    assert found[ERRORS].metric == "http_requests_total"


def test_of_two_scopes_the_surer_one_counts() -> None:
    found = choose(
        [
            Seen("http_requests_total", frozenset({"code"}), 'application="shop"'),
            Seen("http_requests_total", frozenset({"code"}), 'job="shop"'),
            Seen("process_cpu_seconds_total", frozenset(), 'job="shop"'),
        ]
    )
    assert 'application="shop"' in found[RATE].query
    assert 'job="shop"' in found[SATURATION].query


def test_series_may_belong_by_application_job_or_the_addresses_of_environments() -> None:
    assert golden.scopes("shop", ["10.0.0.1:9001", "shop.example.com"]) == [
        'application="shop"', 'job="shop"', 'instance=~"10\\\\.0\\\\.0\\\\.1:9001|shop\\\\.example\\\\.com"',
    ]  # fmt: skip


def test_what_there_is_is_read_from_one_answer() -> None:
    query = golden.discovery(S)
    assert query.startswith("count by (__name__,http_response_status_code,code,")
    rows = [{"__name__": "http_requests_total", "code": "200"}, {"__name__": "http_requests_total"}, {}]
    assert golden.seen_of(rows, S) == [
        Seen("http_requests_total", frozenset({"code"}), S), Seen("http_requests_total", frozenset(), S),
    ]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_units_of_the_signals_are_known(case: str) -> None:
    expected = {RATE: {"/s"}, ERRORS: {"%"}, LATENCY: {"s"}, SATURATION: {"%", "bytes", ""}}
    for signal, one in choose(CASES[case][0]).items():
        assert units.of(one.query).shown in expected[signal], one.query


def test_the_evaluator_reads_every_query() -> None:
    from mainstay.observe.metrics.promql.parse import parse

    for given, _ in CASES.values():
        for one in choose(given).values():
            parse(one.query)
    parse(golden.discovery(S))


def test_the_document_lists_the_names_that_are_looked_for() -> None:
    text = (Path(__file__).parents[4] / "docs" / "metrics.md").read_text()
    stems = [*(one.name for one in golden.REQUESTS), *(one.name for one in golden.EXCEPTIONS)]
    stems += [one.stem for one in golden.DURATIONS]
    stems += [name for one in golden.SATURATION for name in one.needs]
    listed = set(re.findall(r"`([a-z_]+)`", text))
    assert {name for name in stems if name not in listed} == set()


# --- the page -------------------------------------------------------------------------------------------------------


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Speaker]:
    with speaking() as one, asked_by_pages(monkeypatch, one.url):
        yield one


@pytest.fixture
def shop(db: None) -> str:
    spec = {"name": "shop", "environments": [{"name": "production", "url": "http://me:secret@127.0.0.1:9001/"}]}
    put_application(ApplicationSpec.model_validate(spec), COMMAND_LINE, now())
    return "/applications/shop/signals"


def test_four_charts_with_the_value_now_and_their_source(shop: str, speaker: Speaker) -> None:
    rows = [{"__name__": "http_requests_total", "code": "500"}, {"__name__": "process_cpu_seconds_total"}]
    speaker.says(golden.discovery(S), [(row, 1) for row in rows])
    chosen = choose(golden.seen_of(rows, S))
    speaker.says(chosen[RATE].query, [({}, 12.5)])
    speaker.says(chosen[ERRORS].query, [({}, 0.08)])
    html = fragment(signed_in(), shop, "golden").content.decode()
    assert "12.5<small>\N{NO-BREAK SPACE}/s</small>" in html
    assert "8<small>\N{NO-BREAK SPACE}%</small>" in html
    assert "Nothing measures how long its requests take." in html
    assert html.count("data-chart=") == 3
    assert "/metrics/explore?q=sum%28rate%28http_requests_total" in html
    # Asked again, what there is is remembered.
    fragment(signed_in(), shop, "golden")
    assert sum(text.startswith("count by") for text in speaker.questions("query")) == 1


def test_the_environments_addresses_are_tried_without_their_passwords(shop: str, speaker: Speaker) -> None:
    fragment(signed_in(), shop, "golden")
    asked = speaker.questions("query")
    assert [text.rpartition(",")[2] for text in asked] == [
        'application="shop"})', 'job="shop"})', 'instance=~"127\\\\.0\\\\.0\\\\.1:9001"})',
    ]  # fmt: skip
    assert "secret" not in str(asked)


def test_without_any_the_label_that_is_missing_is_named(shop: str, speaker: Speaker) -> None:
    html = fragment(signed_in(), shop, "golden").content.decode()
    assert "Add a scrape with the label <code>application=shop</code>" in html


def test_while_the_source_is_away_the_signals_are_unknown(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with asked_by_pages(monkeypatch, "http://127.0.0.1:1"):
        html = fragment(signed_in(), shop, "golden").content.decode()
    assert "is-unknown" in html
    assert "nothing is known" in html


def test_the_applications_page_asks_for_them_once_it_is_open_and_only_for_who_may_see_them(
    shop: str, speaker: Speaker
) -> None:
    assert f'hx-get="{shop}"' in page(signed_in(Role.SUPPORT), "/applications/shop/")
    assert shop not in page(signed_in(Role.STAKEHOLDER), "/applications/shop/")
    assert speaker.asked == []
