"""The webhook receiver: what it confirmed it has, and it misbehaves on demand."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.receiver import Behaviour, parse_behaviour, summary

ROOT = Path(__file__).parents[2]

ALERTMANAGER_BODY = {
    "version": "4",
    "status": "firing",
    "groupKey": "{}:{}",
    "commonLabels": {"alertname": "ShopDown", "severity": "critical"},
    "commonAnnotations": {"summary": "The shop does not answer"},
    "alerts": [],
}


class RunningReceiver:
    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "examples.receiver", "--port", "0", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUTF8": "1"},
        )
        match = re.search(r":(\d+)/hook", self.line())
        assert match is not None
        self.port = int(match[1])

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, timeout_s: float = 10
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            sent = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
            connection.request(method, path, sent, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def page(self, body: object, **headers: str) -> int:
        return self.request("POST", "/hook", body, headers)[0]

    def pages(self) -> dict[str, Any]:
        document = json.loads(self.request("GET", "/pages")[1])
        assert isinstance(document, dict)
        return document

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status


StartReceiver = Callable[..., RunningReceiver]


@pytest.fixture
def start_receiver() -> Iterator[StartReceiver]:
    running: list[RunningReceiver] = []

    def start(*options: str) -> RunningReceiver:
        running.append(RunningReceiver(*options))
        return running[-1]

    yield start
    for receiver in running:
        receiver.end()


def test_a_page_is_printed_as_one_line_listed_and_shown(start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    body = {"event": "firing", "title": "<Shop> is\ndown", "status": "open", "severity": "critical"}
    assert receiver.page(body) == 200
    assert re.fullmatch(r"\d\d:\d\d:\d\d  firing     <Shop> is down  \[open\]  \[critical\]", receiver.line())
    listed = receiver.pages()
    assert listed["count"] == 1
    assert listed["items"][0]["body"] == body
    shown = receiver.request("GET", "/")[1].decode()
    assert "&lt;Shop&gt; is" in shown
    assert "<Shop>" not in shown


def test_what_was_confirmed_survives_a_kill(start_receiver: StartReceiver, tmp_path: Path) -> None:
    file = tmp_path / "new" / "pages.jsonl"
    first = start_receiver("--file", str(file))
    for number in range(5):
        assert first.page({"title": f"page {number}"}) == 200
    first.end(signal.SIGKILL)
    with file.open("ab") as torn:
        torn.write(b'{"number": 6, "rec')
    second = start_receiver("--file", str(file))
    assert second.page({"title": "page 5"}) == 200
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [page["body"]["title"] for page in kept] == [f"page {number}" for number in range(6)]
    assert [page["number"] for page in kept] == [1, 2, 3, 4, 5, 6]
    assert second.pages()["count"] == 6


def test_the_same_idempotency_key_is_marked_as_sent_again(start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    for _ in range(2):
        receiver.page({"title": "down"}, **{"Idempotency-Key": "k1"})
    receiver.page({"title": "down"})
    assert [page["again"] for page in receiver.pages()["items"]] == [False, True, False]
    receiver.line()
    assert receiver.line().endswith("(again)")


def test_a_refused_page_is_not_kept(start_receiver: StartReceiver) -> None:
    receiver = start_receiver("--answer", "503")
    assert receiver.page({"title": "down"}) == 503
    assert receiver.line().endswith("refused with 503: down")
    assert (receiver.pages()["count"], receiver.pages()["refused"]) == (0, 1)
    assert receiver.request("POST", "/behave", {"answer": 204})[0] == 200
    assert receiver.page({"title": "down"}) == 204
    assert receiver.pages()["count"] == 1


@pytest.mark.timing
def test_a_hanging_answer_leaves_the_sender_in_doubt_and_the_page_kept(start_receiver: StartReceiver) -> None:
    receiver = start_receiver("--hang", "30")
    with pytest.raises(TimeoutError):
        receiver.request("POST", "/hook", {"title": "down"}, timeout_s=0.3)
    assert receiver.pages()["count"] == 1
    receiver.request("POST", "/behave", {"hang": 0})
    started = time.monotonic()
    assert receiver.page({"title": "down"}) == 200
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("body", [b"plain words", b"\xff\xfe", b"null", b'"\\ud800"', b"[" * 50_000, b""])
def test_any_body_is_kept(start_receiver: StartReceiver, body: bytes) -> None:
    receiver = start_receiver()
    assert receiver.page(body) == 200
    assert receiver.line()
    assert receiver.pages()["count"] == 1
    assert receiver.request("GET", "/")[0] == 200


def test_a_body_too_large_is_refused(start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    assert receiver.request("POST", "/hook", None, {"Content-Length": "1000001"})[0] == 413
    assert receiver.request("GET", "/nowhere")[0] == 404


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (ALERTMANAGER_BODY, ("page", "The shop does not answer", "firing", "critical")),
        ({"commonLabels": {"alertname": "Down"}}, ("page", "Down", "", "")),
        ({"kind": "incident.opened", "summary": "Down"}, ("incident.opened", "Down", "", "")),
        ({"text": "Shop is down"}, ("page", "Shop is down", "", "")),
        ({"title": ["odd"], "commonLabels": 3}, ("page", "(no title)", "", "")),
        ("words", ("page", "words", "", "")),
    ],
)
def test_the_line_says_what_the_page_tells(body: object, expected: tuple[str, str, str, str]) -> None:
    assert summary(body) == expected


@pytest.mark.parametrize(
    "document",
    [[], {}, {"answers": 503}, {"answer": 100}, {"answer": True}, {"answer": "503"}, {"hang": -1}, {"hang": "x"}],
)
def test_behaviour_that_makes_no_sense_is_refused(document: object) -> None:
    with pytest.raises(ValueError):
        parse_behaviour(document, Behaviour())


def test_behaviour_is_changed_one_thing_at_a_time() -> None:
    assert parse_behaviour({"hang": 2}, Behaviour(answer=503)) == Behaviour(answer=503, hang=2)


def test_a_stop_is_exit_status_0(start_receiver: StartReceiver) -> None:
    assert start_receiver().end() == 0
