"""From lists, files and DNS answers to targets."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.resolver
import dns.rrset
import pytest
from pydantic import ValidationError

from mainstay.observe.checks.kinds.tests.servers import serving
from mainstay.observe.metrics.scrape import discovery
from mainstay.observe.metrics.scrape.discovery import Discovered, Files, read_groups
from mainstay.observe.metrics.scrape.dns_names import Names
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.settings import Dns, ScrapeSettings
from mainstay.observe.metrics.scrape.targets import Found, Frame, targets_of
from mainstay.observe.metrics.scrape.tests.parts import RecordingStore, exposing, planned, until

Make = Callable[..., Scraper]


def found(discovered: list[Discovered] | None = None, labels: dict[str, str] | None = None, **settings: Any) -> Found:
    settings.setdefault("targets", ["10.0.0.5:9100"])
    made = ScrapeSettings.model_validate(settings)
    frame = Frame.of("node", made, 15.0, 10.0, labels or {})
    return targets_of(frame, discovered if discovered is not None else discovery.sources_of(made)[0].found())


def test_a_target_has_job_and_instance_and_the_labels_it_was_given() -> None:
    ((target,), _, _) = (found(labels={"team": "blue"}).targets, 0, 0)
    assert target.url == "http://10.0.0.5:9100/metrics"
    assert target.labels == {"job": "node", "instance": "10.0.0.5:9100", "team": "blue"}
    assert (target.every_s, target.timeout_s) == (15.0, 10.0)
    assert target.discovered == {
        "__address__": "10.0.0.5:9100", "__scheme__": "http", "__metrics_path__": "/metrics",
        "__scrape_interval__": "15s", "__scrape_timeout__": "10s", "job": "node", "team": "blue",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"targets": ["shop"]}, "http://shop:80/metrics"),
        ({"targets": ["shop"], "scheme": "https"}, "https://shop:443/metrics"),
        ({"targets": ["[::1]:9100"]}, "http://[::1]:9100/metrics"),
        ({"targets": ["[::1]"]}, "http://[::1]:80/metrics"),
        ({"path": "/probe", "params": {"module": "http_2xx"}}, "http://10.0.0.5:9100/probe?module=http_2xx"),
        (
            {"params": {"a": ["1", "2"]}, "relabel": [{"target_label": "__param_a", "replacement": "x y"}]},
            "http://10.0.0.5:9100/metrics?a=x+y&a=2",
        ),
        ({"relabel": [{"target_label": "__metrics_path__", "replacement": "stats"}]}, "http://10.0.0.5:9100/stats"),
        ({"relabel": [{"target_label": "__scheme__", "replacement": "https"}]}, "https://10.0.0.5:9100/metrics"),
    ],
)
def test_urls_are_put_together_from_the_labels(settings: dict[str, Any], url: str) -> None:
    ((target,)) = found(**settings).targets
    assert target.url == url


def test_interval_and_timeout_can_be_relabelled_but_must_fit() -> None:
    rules = [{"target_label": "__scrape_interval__", "replacement": "1m30s"}]
    (target,) = found(relabel=rules).targets
    assert target.every_s == 90.0
    wrong = found(relabel=[{"target_label": "__scrape_timeout__", "replacement": "1m"}])
    assert not wrong.targets
    assert wrong.errors == ("10.0.0.5:9100: its timeout (1m) is longer than its interval (15s)",)


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"target_label": "__address__", "replacement": ""}, "without an address"),
        ({"target_label": "__address__", "replacement": "http://x/"}, "is no address"),
        ({"target_label": "__address__", "replacement": "user@x"}, "is no address"),
        ({"target_label": "__scheme__", "replacement": "file"}, "neither http nor https"),
        ({"target_label": "__scrape_interval__", "replacement": "soon"}, "is no duration"),
        ({"target_label": "__metrics_path__", "replacement": "/a b"}, "white space"),
    ],
)
def test_a_target_that_cannot_be_is_left_out_with_its_reason(rule: dict[str, Any], error: str) -> None:
    result = found(targets=["10.0.0.5:9100"], relabel=[rule])
    assert not result.targets
    assert error in result.errors[0]


def test_meta_labels_go_dropped_targets_are_told_and_doubles_are_one() -> None:
    discovered = [
        {"__address__": "a:1", "__meta_zone": "z1", "__tmp": "x"},
        {"__address__": "a:1", "__meta_zone": "z2"},
        {"__address__": "b:1", "__meta_zone": "z3"},
    ]
    result = found(discovered, relabel=[{"source_labels": ["__meta_zone"], "regex": "z3", "action": "drop"}])
    assert [target.labels for target in result.targets] == [{"job": "node", "instance": "a:1"}]
    assert [each["__meta_zone"] for each in result.dropped] == ["z3"]


def test_target_limit_refuses_all_of_them() -> None:
    result = found(targets=["a:1", "b:1", "c:1"], target_limit=2)
    assert not result.targets
    assert "3 targets were found, `target_limit` is 2" in result.errors[0]


def test_identity_is_the_same_after_a_restart_and_tells_labels_apart() -> None:
    one, again, other = (found(labels={"a": value}).targets[0].identity for value in ("x", "x", "y"))
    assert one == again != other


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [
    '[{"targets": ["a:1", "b:2"], "labels": {"env": "prod"}}]',
    "- targets: ['a:1', 'b:2']\n  labels: {env: prod}\n",
])  # fmt: skip
def test_files_list_targets_as_prometheus_has_them(content: str, tmp_path: Path) -> None:
    path = tmp_path / ("t.json" if content[0] == "[" else "t.yml")
    path.write_text(content)
    source = Files((str(path),))
    source.look(0.0)
    assert source.error == ""
    assert [each["__address__"] for each in source.found()] == ["a:1", "b:2"]
    assert source.found()[0] == {"__address__": "a:1", "env": "prod", "__meta_filepath": str(path)}


def test_a_file_is_read_again_when_it_changes_and_kept_when_it_breaks(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"targets": ["a:1"]}]')
    source = Files((str(tmp_path / "*.json"),))
    source.look(0.0)
    path.write_text('[{"targets": ["b:1"]}, ')
    source.look(10.0)
    assert [each["__address__"] for each in source.found()] == ["a:1"]
    assert "lists no targets: it is not JSON (line 1" in source.error
    path.write_text('[{"targets": ["c:1"]}]')
    (tmp_path / "u.json").write_text('[{"targets": ["d:1"]}]')
    source.look(20.0)
    assert source.error == ""
    assert [each["__address__"] for each in source.found()] == ["c:1", "d:1"]
    path.unlink()
    source.look(30.0)
    assert [each["__address__"] for each in source.found()] == ["d:1"], "a list that is gone has no targets"
    (tmp_path / "u.json").unlink()
    source.look(40.0)
    assert "there is no file" in source.error


def test_a_value_that_the_library_of_yaml_fails_at_costs_its_own_file_only(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("- {targets: [a:1], labels: {a: !!bool maybe}}")
    (tmp_path / "b.yml").write_text("- {targets: [b:1]}")
    source = Files((str(tmp_path / "*.yml"),))
    source.look(0.0)
    assert [each["__address__"] for each in source.found()] == ["b:1"]
    assert "a.yml lists no targets" in source.error


def test_a_file_that_did_not_change_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"targets": ["a:1"]}]')
    source = Files((str(path),))
    source.look(0.0)
    monkeypatch.setattr(discovery, "read_groups", lambda *a, **k: pytest.fail("it was read again"))
    source.look(10.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"targets": []}', "must be a list"),
        ('["a:1"]', "group 1"),
        ('[{"targets": "a:1"}]', "group 1, targets"),
        ('[{"targets": ["http://a/secret-of-the-file"]}]', "group 1, targets.0"),
        ('[{"tragets": ["a:1"]}]', "group 1"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_files_that_list_no_targets_are_refused_without_quoting_them(content: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        read_groups(content.encode(), is_json=True)
    assert "secret-of-the-file" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b"a: &a [x, x]\nb: &b [*a, *a]\n- targets: *b\n",
        b"- &a targets: [x]\n- *a\n",
        b"\xff\xfe",
        b"a: b: c",
        b"!!python/object/apply:os.system ['true']",
        b"- {targets: [a:1], labels: {a: !!bool maybe}}",
        b"- {targets: [a:1], labels: {a: !!int ''}}",
    ],
)
def test_hostile_yaml_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_groups(content, is_json=False)


def test_numbers_among_labels_are_text() -> None:
    (group,) = read_groups(b"- targets: [a:1]\n  labels: {shard: 7, since: 2026-13-45, version: 1.10}\n", is_json=False)
    assert group.labels == {"shard": "7", "since": "2026-13-45", "version": "1.10"}


def test_targets_of_a_file_come_and_go_while_scraping(scraper: Make, store: RecordingStore, tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    path.write_text("[]")
    with serving(exposing("a 1\n")) as server:
        engine = scraper()
        discovery_every = discovery.FILE_LOOK_EVERY_S
        try:
            discovery.FILE_LOOK_EVERY_S = 0.1
            engine.update([planned(1, file=str(path))])
            until(lambda: engine.scrapes())
            assert engine.targets() == []
            draft = tmp_path / "draft"
            draft.write_text(json.dumps([{"targets": [f"127.0.0.1:{server.port}"], "labels": {"zone": "a"}}]))
            draft.replace(path)
            until(lambda: store.of("a", zone="a"))
            path.write_text("[]")
            until(lambda: engine.targets() == [])
        finally:
            discovery.FILE_LOOK_EVERY_S = discovery_every


# --- DNS -----------------------------------------------------------------------------------------------------------


class Zone:
    """A name server's answers, or its absence."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.away: Exception | None = None
        self.asked = 0

    def resolve(self, name: str, kind: str, **options: Any) -> Iterator[Any]:
        self.asked += 1
        if self.away is not None:
            raise self.away
        if (name, kind) not in self.records:
            raise dns.resolver.NXDOMAIN
        return iter(dns.rrset.from_text_list(f"{name}.", 60, "IN", kind, self.records[name, kind]))


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Zone:
    made = Zone()

    class Resolver:
        lifetime = 0.0

        def resolve(self, *args: Any, **options: Any) -> Any:
            return made.resolve(*args, **options)

    monkeypatch.setattr("dns.resolver.Resolver", Resolver)
    return made


def test_srv_records_name_host_and_port(zone: Zone) -> None:
    zone.records["_m._tcp.shop.test", "SRV"] = ["0 0 9100 a.shop.test.", "0 0 9200 b.shop.test."]
    source = Names(Dns.model_validate({"names": ["_m._tcp.shop.test"]}))
    source.look(0.0)
    assert source.found() == [
        {
            "__address__": f"{host}.shop.test:{port}", "__meta_dns_name": "_m._tcp.shop.test",
            "__meta_dns_srv_record_target": f"{host}.shop.test.", "__meta_dns_srv_record_port": str(port),
        }
        for host, port in (("a", 9100), ("b", 9200))
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "record", "address"), [
    ("A", "10.0.0.7", "10.0.0.7:9100"), ("AAAA", "2001:db8::7", "[2001:db8::7]:9100"),
])  # fmt: skip
def test_address_records_take_the_port_that_is_set(zone: Zone, kind: str, record: str, address: str) -> None:
    zone.records["shop.test", kind] = [record]
    source = Names(Dns.model_validate({"names": ["shop.test"], "type": kind, "port": 9100}))
    source.look(0.0)
    assert source.found() == [{"__address__": address, "__meta_dns_name": "shop.test"}]


def test_the_last_answer_is_kept_when_the_server_is_away_and_goes_when_the_name_goes(zone: Zone) -> None:
    zone.records["shop.test", "A"] = ["10.0.0.7"]
    source = Names(Dns.model_validate({"names": ["shop.test"], "type": "A", "port": 1, "refresh": "30s"}))
    source.look(0.0)
    assert not source.due(29.0)
    assert source.due(30.0)
    zone.away = dns.resolver.NoNameservers()  # type: ignore[no-untyped-call]
    source.look(30.0)
    assert [each["__address__"] for each in source.found()] == ["10.0.0.7:1"]
    assert "every name server failed; what was known last is used" in source.error
    zone.away = None
    zone.records.clear()
    source.look(60.0)
    assert source.found() == []
    assert "there is no name shop.test" in source.error


def test_address_records_without_a_port_are_refused() -> None:
    with pytest.raises(ValidationError, match="give `port`"):
        Dns.model_validate({"names": ["shop.test"], "type": "A"})


@pytest.mark.timing
def test_a_name_server_that_hangs_holds_neither_the_other_scrapes_nor_the_edit(
    scraper: Make, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(Names, "_ask", lambda self, name: iter([release.wait(20) and {}][:0]))
    with serving(exposing("a 1\n")) as server:
        engine = scraper()
        engine.update([planned(1, dns={"names": ["shop.test"], "type": "A", "port": 1}), planned(2, server)])
        until(lambda: store.of("a"))
        began = time.monotonic()
        engine.update([planned(2, server, name="renamed")])
        until(lambda: store.of("a", job="renamed"))
        assert time.monotonic() - began < 5
    release.set()
