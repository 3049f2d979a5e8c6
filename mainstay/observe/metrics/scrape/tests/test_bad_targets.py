"""Targets that misbehave: each is down with words that help, and none holds the scraper or the others."""

import gzip
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Resolver
from mainstay.observe.checks.kinds.tests.servers import (
    Authority,
    Script,
    answer,
    answering,
    read_request,
    server_context,
    serving,
)
from mainstay.observe.metrics.scrape import engine as engine_module
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.state import TargetHealth
from mainstay.observe.metrics.scrape.tests.parts import (
    TEXT,
    RecordingStore,
    all_scraped,
    exposing,
    only,
    planned,
    settled,
    until,
)

Make = Callable[..., Scraper]
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {TEXT}\r\n"


def truncated(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(f"{HEAD}Content-Length: 1000\r\n\r\na 1\nb ".encode())


def never_ending(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
    line = b"a_metric 1\n" * 1000
    while True:
        connection.sendall(f"{len(line):x}\r\n".encode() + line + b"\r\n")


def dripping(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(f"{HEAD}Content-Length: 100000\r\n\r\n".encode())
    while True:
        connection.sendall(b"# \n")
        time.sleep(0.05)


def silent(connection: socket.socket) -> None:
    read_request(connection)
    time.sleep(3)


def hanging_up(connection: socket.socket) -> None:
    read_request(connection)


def no_http(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"-ERR unknown command\r\n")


def sending(body: bytes, content_type: str = TEXT, headers: str = "") -> Script:
    return answering(200, body, f"Content-Type: {content_type}\r\n{headers}")


def ending_by_close(body: bytes) -> Script:
    """Nothing says how long the answer is: where the connection ends, it may have been cut off."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(HEAD.encode() + b"\r\n" + body)

    return script


def chunked(body: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        head = f"{HEAD}transfer-encoding: Chunked\r\n\r\n".encode()
        connection.sendall(head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")

    return script


BAD: dict[str, tuple[Script, str]] = {
    "truncated": (truncated, "the connection broke after 6 bytes"),
    "dripping": (dripping, "the answer began, but did not end"),
    "silent": (silent, "no answer came"),
    "hanging up": (hanging_up, "closed the connection without an answer"),
    "not HTTP": (no_http, "HTTP"),
    "cut at a number": (ending_by_close(b"a 1\nb 12"), "has the body been cut off?"),
    "cut OpenMetrics": (
        sending(b"# TYPE a gauge\na 1\n", "application/openmetrics-text; version=1.0.0"),
        "does not end with # EOF",
    ),
    "HTML": (sending(b"<html>hello</html>\n", "text/html"), "is text/html, not metrics"),
    "JSON": (sending(b'{"a": 1}\n', "application/json"), "is `path` right?"),
    "bytes": (sending(b"a 1\n\xff\xfe 2\n"), "not UTF-8"),
    "no number": (sending(b"a one\n"), "'one' is no number"),
    "missing": (answering(404, b"no"), "answered 404 Not Found: is `path` right?"),
    "locked": (answering(401, b"no"), "401 Unauthorized: it wants credentials"),
    "failing": (answering(500, b"no"), "answered 500 Internal Server Error"),
    "empty number": (answering(299, b"a 1\n"), "answered 299"),
    "gzip that is none": (sending(b"a 1\n", headers="Content-Encoding: gzip\r\n"), "GET http"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_target_that_misbehaves_is_down_and_the_error_says_what_to_do(
    name: str, scraper: Make, store: RecordingStore
) -> None:
    script, words = BAD[name]
    with serving(script) as bad, serving(exposing("fine 1\n")) as good:
        engine = scraper()
        engine.update([planned(1, bad, every_s=0.5, timeout_s=0.3), planned(2, good)])
        until(lambda: any(s.job == "job1" and s.health is TargetHealth.DOWN for s in engine.targets()))
        until(lambda: len(store.of("fine")) >= 3, what="the good target is scraped all the same")
        state = next(state for state in engine.targets() if state.job == "job1")
    assert words in state.error
    assert "\n" not in state.error
    assert store.of("up", job="job1")[0][1] == 0.0
    assert {key["__name__"] for key in map(dict, store.samples) if key["job"] == "job1"} == {
        "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    }  # fmt: skip


@pytest.mark.timing
def test_a_body_that_never_ends_is_cut_off_by_size(scraper: Make) -> None:
    with serving(never_ending) as server:
        engine = scraper()
        engine.update([planned(1, server, every_s=5, timeout_s=5, body_size_limit="1MB")])
        state = settled(engine)
    assert "its answer is larger than 1 MB and was cut off" in state.error
    assert state.duration_s < 3
    assert engine.figures().held_bytes == 0


@pytest.mark.timing
def test_a_body_that_never_ends_is_cut_off_by_time(scraper: Make) -> None:
    def slowly_never_ending(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(f"{HEAD}\r\n".encode())
        while True:
            connection.sendall(b"a_metric 1\n")
            time.sleep(0.01)

    with serving(slowly_never_ending) as server:
        engine = scraper()
        engine.update([planned(1, server, every_s=0.4, timeout_s=0.4)])
        state = settled(engine)
    assert "did not finish within 400 ms" in state.error
    assert 0.35 < state.duration_s < 0.9


def test_all_answers_together_are_bounded(scraper: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "HELD_BYTES_MOST", 1 << 20)
    with serving(never_ending) as server:
        engine = scraper()
        engine.update([planned(1, server, every_s=5, timeout_s=5)])
        state = settled(engine)
    assert "the answers of all targets together hold 1 MB" in state.error


def test_a_gzip_bomb_is_cut_off_by_its_uncompressed_size(scraper: Make) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(b"# " + b"0" * (300 << 20) + b"\n") + packer.flush()
    assert len(bomb) < 1 << 20
    with serving(sending(bomb, headers="Content-Encoding: gzip\r\n")) as server:
        engine = scraper()
        engine.update([planned(1, server, every_s=5, timeout_s=5, body_size_limit="4MB")])
        state = settled(engine)
    assert "its answer is larger than 4 MB" in state.error


def test_gzip_is_asked_for_and_understood(scraper: Make, store: RecordingStore) -> None:
    seen: list[bytes] = []
    script = answering(200, gzip.compress(b"a 1\n"), f"Content-Type: {TEXT}\r\nContent-Encoding: gzip\r\n", seen)
    with serving(script) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        assert settled(engine).health is TargetHealth.UP
    assert b"\r\nAccept-Encoding: gzip\r\n" in seen[0]
    assert b"application/openmetrics-text" in seen[0]
    assert b"X-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n" in seen[0]
    assert store.of("a")[0][1] == 1.0


@pytest.mark.timing
def test_a_million_lines_are_refused_without_holding_the_others(scraper: Make, store: RecordingStore) -> None:
    body = b"".join(b'a_metric{label="%d"} 1\n' % number for number in range(1_000_000))
    with serving(sending(body)) as bad, serving(exposing("fine 1\n")) as good:
        engine = scraper()
        engine.update([planned(1, bad, every_s=20, timeout_s=20), planned(2, good)])
        until(lambda: any(s.job == "job1" and s.health is TargetHealth.DOWN for s in engine.targets()), 30)
        state = next(state for state in engine.targets() if state.job == "job1")
    assert "more than 200000 samples" in state.error
    times = [at_ms for at_ms, _ in store.of("fine")]
    assert max(after - before for before, after in pairwise(times)) < 1000


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data/", "http://metadata.google.internal/"])
def test_a_redirect_to_a_metadata_address_is_refused(location: str, scraper: Make) -> None:
    with serving(answering(302, b"", f"Location: {location}\r\n")) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        state = settled(engine)
    assert state.health is TargetHealth.DOWN
    assert "The probe policy refuses" in state.error


def test_the_address_policy_judges_targets_as_it_judges_checks(scraper: Make) -> None:
    resolver = Resolver(lambda host, _family: ["169.254.169.254"])
    engine = scraper(resolver=resolver)
    engine.update([planned(1, "innocent.test:80", name="named"), planned(2, "169.254.169.254:80", name="plain")])
    named, plain = all_scraped(engine)
    assert "innocent.test resolves to 169.254.169.254" in named.error
    assert "refuses 169.254.169.254" in plain.error


def test_a_public_only_installation_scrapes_no_private_target(scraper: Make) -> None:
    with serving(exposing("a 1\n")) as server:
        engine = scraper(policy=AddressPolicy("public-only"))
        engine.update([planned(1, server)])
        assert "refuses addresses that are not public" in settled(engine).error
        assert server.connections == 0


def test_a_name_that_changes_its_answer_is_judged_again_although_a_connection_is_open(scraper: Make) -> None:
    answers = ["127.0.0.1"]
    with serving(exposing("a 1\n")) as server:
        engine = scraper(resolver=Resolver(lambda host, _family: list(answers)))
        engine.update([planned(1, f"rebound.test:{server.port}")])
        until(lambda: engine.figures().scrapes >= 2)
        assert only(engine).health is TargetHealth.UP
        answers[0] = "169.254.169.254"
        until(lambda: only(engine).health is TargetHealth.DOWN)
        assert "169.254.169.254" in only(engine).error


def test_redirects_are_followed_without_credentials_to_elsewhere(scraper: Make, store: RecordingStore) -> None:
    seen: list[bytes] = []
    with (
        serving(exposing("a 1\n", seen=seen)) as there,
        serving(answering(302, b"", f"Location: {there.url}/other\r\n")) as here,
    ):
        engine = scraper()
        engine.update([planned(1, here, bearer="s3cret", secret_headers={"X-Key": "k3y"})])
        assert settled(engine).health is TargetHealth.UP
    assert b"GET /other" in seen[0]
    assert b"s3cret" not in seen[0]
    assert b"k3y" not in seen[0]


def test_redirects_can_be_switched_off(scraper: Make) -> None:
    with serving(answering(302, b"", "Location: http://127.0.0.1:1/?token=s3cret\r\n")) as here:
        engine = scraper()
        engine.update([planned(1, here, follow_redirects=False)])
        error = settled(engine).error
    assert "redirects to http://127.0.0.1:1/?…, and `follow_redirects` is off" in error


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"username": "ann", "password": "pa55"}, b"Authorization: Basic YW5uOnBhNTU="),
        ({"bearer": "t0ken"}, b"Authorization: Bearer t0ken"),
        ({"headers": {"X-Scope-OrgID": "7"}}, b"X-Scope-OrgID: 7"),
        ({"secret_headers": {"X-Key": "k"}}, b"X-Key: k"),
        ({"params": {"collect[]": ["cpu", "mem"]}}, b"GET /metrics?collect%5B%5D=cpu&collect%5B%5D=mem HTTP"),
        ({"path": "/actuator/prometheus"}, b"GET /actuator/prometheus HTTP"),
    ],
)  # fmt: skip
def test_requests_carry_what_is_set(settings: dict[str, Any], header: bytes, scraper: Make) -> None:
    seen: list[bytes] = []
    with serving(exposing("a 1\n", seen=seen)) as server:
        engine = scraper()
        engine.update([planned(1, server, **settings)])
        settled(engine)
    assert header in seen[0]


def test_tls_needs_a_trusted_certificate_unless_told_otherwise(
    scraper: Make, authority: Authority, tmp_path: Path
) -> None:
    with serving(exposing("a 1\n"), authority.server(tmp_path)) as server:
        engine = scraper()
        common: dict[str, Any] = {"scheme": "https", "every_s": 1.0, "timeout_s": 1.0}
        engine.update(
            [
                planned(1, server, name="distrusted", **common),
                planned(2, server, name="insecure", tls_config={"insecure_skip_verify": True}, **common),
                planned(3, server, name="trusted", ca=authority.pem, **common),
            ]
        )
        distrusted, insecure, trusted = all_scraped(engine)
    assert "the certificate is not accepted" in distrusted.error
    assert insecure.health is TargetHealth.UP
    assert trusted.health is TargetHealth.UP


def test_a_client_certificate_is_shown(scraper: Make, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue()
    context = server_context(tmp_path, certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    mine, my_key = authority.issue(("client",))
    with serving(exposing("a 1\n"), context) as server:
        engine = scraper()
        common: dict[str, Any] = {"scheme": "https", "every_s": 1.0, "timeout_s": 1.0, "ca": authority.pem}
        engine.update(
            [
                planned(1, server, name="known", client_certificate=mine, client_key=my_key, **common),
                planned(2, server, name="stranger", **common),
            ]
        )
        known, stranger = all_scraped(engine)
    assert known.health is TargetHealth.UP
    assert stranger.health is TargetHealth.DOWN


WHOLE: dict[str, Script] = {
    "a length": sending(b"a 1\nb 12"),
    "a length, compressed": sending(gzip.compress(b"a 1\nb 12"), headers="Content-Encoding: gzip\r\n"),
    "chunks": chunked(b"a 1\nb 12"),
    "the close, behind a line feed": ending_by_close(b"a 1\nb 12\n"),
}


@pytest.mark.fault("M12")
@pytest.mark.parametrize("ended_by", WHOLE)
def test_an_answer_whose_end_is_known_may_lack_the_last_line_feed(
    ended_by: str, scraper: Make, store: RecordingStore
) -> None:
    with serving(WHOLE[ended_by]) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        state = settled(engine)
    assert (state.health, state.error) == (TargetHealth.UP, "")
    assert store.of("b")[0][1] == 12.0


@pytest.mark.fault("M12")
@pytest.mark.parametrize("status", ["HTTP/1.0 200 OK", "HTTP/1.1 200 OK"])
def test_an_answer_that_ends_by_the_close_may_be_cut_off_in_its_last_number(status: str, scraper: Make) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(f"{status}\r\nContent-Type: {TEXT}\r\n\r\na 1\nb 12".encode())

    with serving(script) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        state = settled(engine)
    assert state.health is TargetHealth.DOWN
    assert "line 2: the last line is open: has the body been cut off?" in state.error


def test_answers_of_clients_that_speak_only_openmetrics(scraper: Make, store: RecordingStore) -> None:
    body = '# TYPE a counter\na_total 3 # {trace_id="x"} 1\n# EOF\n'
    with serving(exposing(body, "application/openmetrics-text; version=1.0.0; charset=utf-8")) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        settled(engine)
    assert store.of("a_total")[0][1] == 3.0


def test_a_connection_that_the_target_closed_meanwhile_is_no_failure(scraper: Make, store: RecordingStore) -> None:
    def closing(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer(200, b"a 1\n", f"Content-Type: {TEXT}\r\n"))

    with serving(closing) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        until(lambda: len(store.of("up")) >= 5)
    assert all(value == 1.0 for _, value in store.of("up")[:5])


def test_a_store_that_fails_is_said_and_does_not_end_the_scraper(
    scraper: Make, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = store.layout

    def failing(label_sets: list[dict[str, str]], job: str) -> object:
        if any(labels["__name__"] == "cursed" for labels in label_sets):
            raise OSError(28, "No space left on device")
        return layout(label_sets, job)

    monkeypatch.setattr(store, "layout", failing)
    with serving(exposing("cursed 1\n")) as bad, serving(exposing("fine 1\n")) as good:
        engine = scraper()
        engine.update([planned(1, bad), planned(2, good)])
        until(lambda: len(store.of("fine")) >= 2)
        state = next(state for state in all_scraped(engine) if state.job == "job1")
    assert "could not be stored" in state.error
    assert "No space left on device" in state.error
