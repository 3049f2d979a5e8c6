"""Whom rules ask: a real store with rules that mean it harm, and a server with headers, passwords and no time."""

import base64
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainstay.foundation import environment as env
from mainstay.foundation.accounts.actor import Actor
from mainstay.observe.metrics.client import Client, Server
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.servers import server
from mainstay.observe.metrics.store import Store, StoreLimits
from mainstay.respond.alerts.models import Alert
from mainstay.respond.rules import actions
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.outcome import RuleFails, SourceAway
from mainstay.respond.rules.engine.sources import ServerSource, StoreSource
from mainstay.respond.rules.models import RuleState
from mainstay.respond.rules.spec import RuleGroupSpec

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """`up` of three instances and a counter with every kind of number, every 15 s until noon."""
    found = Store(tmp_path / "store", StoreLimits(series=100, series_of_job=100))
    labels = [{"__name__": "up", "instance": name, "job": "app"} for name in "abc"]
    labels += [{"__name__": "odd", "kind": kind, "job": "app"} for kind in ("nan", "inf", "fine")]
    layout, stream = found.layout(labels, "app"), found.stream("app", "app")
    for step in range(41):
        at_ms = NOON_MS - (40 - step) * 15_000
        found.tick(at_ms)
        stream.put(at_ms, layout, np.array([1.0, 1.0, 0.0, np.nan, np.inf, step * 15.0]))
        stream.put(at_ms, layout, np.zeros(6))  # the same time again: refused
        stream.put(at_ms - 5_000, layout, np.zeros(6))  # out of order: refused
    yield found
    found.close()


@pytest.mark.django_db
def test_rules_that_ask_too_much_say_so_and_the_others_page(store: Store, me: Actor) -> None:
    rules = [
        {"alert": "Dear", "expr": "max_over_time(rate(odd[10m])[10y:1s]) > 0"},
        {"alert": "Bomb", "expr": 'up{instance=~"(a+)+(a+)+(a+)+$(a|aa)+b"} == 0'},
        {"alert": "Many", "expr": "up + on() up > 0"},
        {"alert": "NotANumber", "expr": 'odd{kind="nan"} > 0'},
        {"alert": "Endless", "expr": 'odd{kind="inf"} > 0'},
        {"alert": "Down", "expr": "up == 0"},
    ]
    actions.put_group(RuleGroupSpec.model_validate({"name": "harm", "rules": rules}), me, NOON)
    source = StoreSource(store, time.monotonic)
    held = Evaluation(lambda: source, lambda _group: True, lambda: 0, lambda: True, "")
    for seconds in (-20, 0, 16):
        held.cycle(datetime.fromtimestamp(NOON.timestamp() + seconds, UTC), 1)
    assert sorted(alert.labels["alertname"] for alert in Alert.objects.all()) == ["Down", "Endless"]
    health = {state.rule.name: (state.health, state.reason) for state in RuleState.objects.select_related("rule")}
    assert health["Dear"][0] == "err"
    assert "samples" in health["Dear"][1]
    assert health["Bomb"][0] == "no_series"
    assert health["Many"][0] == "err"
    assert health["NotANumber"] == health["Down"] == ("ok", "")
    assert Alert.objects.get(name__startswith="Endless").value is None  # an infinity is no JSON


def test_an_expression_that_takes_too_long_is_ended(store: Store) -> None:
    clock = iter([0.0, 0.0, *[60.0] * 1000])
    instant = StoreSource(store, lambda: next(clock)).at(NOON_MS)
    with pytest.raises(QueryError, match="longer than 10 s"):
        instant.ask("sum(rate(odd[5m])) + sum(up)")


def test_what_a_rule_records_is_seen_by_the_next_and_ends_when_it_is_no_more(store: Store) -> None:
    source = StoreSource(store, time.monotonic)
    instant = source.at(NOON_MS)
    assert instant.ask("job:up:sum") == ()
    instant.record("rule:1", [({"__name__": "job:up:sum", "job": "app"}, 2.0)])
    assert instant.ask("job:up:sum > 1") == [({"__name__": "job:up:sum", "job": "app"}, 2.0)]
    assert instant.ask("count(up)") == [({}, 3.0)]
    store.tick(NOON_MS + 15_000)
    later = source.at(NOON_MS + 15_000)
    later.record("rule:1", [])
    assert later.ask("job:up:sum") == ()


def test_a_rule_that_records_without_end_is_stopped_by_the_guard(store: Store) -> None:
    instant = StoreSource(store, time.monotonic).at(NOON_MS)
    rows = [({"__name__": "exploded", "id": str(number)}, 1.0) for number in range(200)]
    with pytest.raises(RuleFails, match="exploded"):
        instant.record("rule:1", rows)
    assert instant.ask("count(up)") == [({}, 3.0)]


def test_a_rule_gives_a_vector_or_a_number(store: Store) -> None:
    instant = StoreSource(store, time.monotonic).at(NOON_MS)
    assert instant.ask("1 + 1") == [({}, 2.0)]
    with pytest.raises(QueryError, match="instant vector"):
        instant.ask("up[5m]")
    assert instant.count(instant_matchers("up"), NOON_MS - 60_000, NOON_MS) > 0


def instant_matchers(metric: str) -> Any:
    from mainstay.observe.metrics.promql.parse import parse

    (selector,) = parse(metric).selectors()
    return selector.matchers


# --- another server ---------------------------------------------------------------------------------------------------


class Recording(BaseHTTPRequestHandler):
    """Answers one number to whoever is let in; remembers the headers."""

    seen: list[dict[str, str]]
    wait_s = 0.0

    def do_POST(self) -> None:
        time.sleep(self.wait_s)
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, type[Recording]]]:
    handler = type("Handler", (Recording,), {"seen": []})
    one = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{one.server_port}", handler
    one.shutdown()
    one.server_close()


def asked(url: str, **environ: str) -> Client:
    return Client(server(env.read({"METRICS_URL": url, **environ}), "key"))


def test_user_and_password_tenant_and_token_go_with_every_question(elsewhere: tuple[str, type[Recording]]) -> None:
    address, handler = elsewhere
    basic = asked(f"http://kim:s%40cret@{address}/prometheus", MAINSTAY_METRICS_HEADERS="X-Scope-OrgID: shop")
    assert basic.query("1 + 1")[0].value == 2.0
    assert handler.seen[-1]["authorization"] == "Basic " + base64.b64encode(b"kim:s@cret").decode()
    assert handler.seen[-1]["x-scope-orgid"] == "shop"
    bearer = asked(f"http://{address}", MAINSTAY_METRICS_HEADERS="Authorization: Bearer t0ken; X-Tenant: a")
    bearer.query("1 + 1")
    assert (handler.seen[-1]["authorization"], handler.seen[-1]["x-tenant"]) == ("Bearer t0ken", "a")


@pytest.mark.timing
def test_a_server_that_takes_too_long_is_away(elsewhere: tuple[str, type[Recording]]) -> None:
    address, handler = elsewhere
    handler.wait_s = 3.0
    source = ServerSource(asked(f"http://{address}", MAINSTAY_METRICS_TIMEOUT="1s"))
    instant, begin = source.at(NOON_MS), time.monotonic()
    for _ in range(5):  # asked once an instant, or the others' pages would wait for it again and again
        with pytest.raises(SourceAway, match="does not answer"):
            instant.ask("up")
    assert time.monotonic() - begin < 2.5


def test_what_does_not_speak_the_api_is_away_not_fine(tmp_path: Path) -> None:
    from tests.peers import served

    with served(lambda: "metrics") as port, pytest.raises(SourceAway, match="not as Prometheus does"):
        ServerSource(Client(Server(f"http://127.0.0.1:{port}/api"))).at(NOON_MS).ask("up")


def test_what_a_round_has_evaluated_is_freed_with_it(store: Store) -> None:
    instant = StoreSource(store, time.monotonic).at(NOON_MS)
    instant.ask("sum(rate(odd[5m]))")
    held = weakref.ref(instant._round)
    gc.disable()  # the collector comes seldom, and a round over many series is tens of MiB
    try:
        del instant
        assert held() is None
    finally:
        gc.enable()
