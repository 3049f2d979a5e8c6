"""A webhook receiver to try pages with: `python -m examples.receiver --port 9999 [--file pages.jsonl]`.

Every page received is printed as one line and, with --file, written and synced to disk before it is answered 200: what
was confirmed is kept. To see what a sender does about trouble, let it misbehave: `--answer 503`, `--hang 5`, or while
it runs `curl -d '{"answer": 503}' -H 'Content-Type: application/json' http://127.0.0.1:9999/behave`.
"""

import argparse
import ipaddress
import json
import os
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

BODY_MAX_BYTES = 1_000_000
PAGES_IN_MEMORY = 10_000
CLIENT_TIMEOUT_S = 15.0
HANG_MAX_S = 600.0
_KEPT_HEADERS = ("content-type", "user-agent", "idempotency-key", "x-mainstay-event")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How pages are answered. `answer` is the status; `hang` the seconds to wait before it.

    A page answered 2xx is kept before the wait: a sender that gives up waiting cannot know that it was received.
    """

    answer: int = 200
    hang: float = 0.0

    @property
    def accepts(self) -> bool:
        return 200 <= self.answer < 300


@dataclass(frozen=True, slots=True)
class Page:
    """One page received; `again` if one with the same Idempotency-Key came before."""

    number: int
    received_at: str
    path: str
    headers: Mapping[str, str]
    again: bool
    body: object

    def line(self) -> str:
        """Time, event, title, status and severity, as far as the page tells."""
        event, title, status, severity = summary(self.body)
        event = self.headers.get("x-mainstay-event", event)
        words = [self.received_at[11:19], event.ljust(9), title]
        words += [f"[{part}]" for part in (status, severity) if part]
        if self.again:
            words.append("(again)")
        return _CONTROL_CHARACTERS.sub(" ", "  ".join(words))


def summary(body: object) -> tuple[str, str, str, str]:
    """Event, title, status and severity of a page: of a body that names them, or of Alertmanager's webhook body v4."""
    if not isinstance(body, dict):
        return "page", str(body)[:120], "", ""
    labels = _mapping(body.get("commonLabels"))
    notes = _mapping(body.get("commonAnnotations"))
    status = _first(body, "status", "state")
    event = _first(body, "event", "kind", "type") or "page"
    title = (
        _first(body, "title", "summary", "subject", "text")
        or _first(notes, "summary", "title")
        or _first(labels, "alertname")
    )
    severity = _first(body, "severity") or _first(labels, "severity")
    return event, title or "(no title)", status, severity


def parse_behaviour(document: object, present: Behaviour) -> Behaviour:
    """`{"answer": 503, "hang": 2}`, either or both; ValueError says what would be right."""
    if not isinstance(document, dict) or not document or document.keys() - {"answer", "hang"}:
        raise ValueError('send an object with "answer" (a status) or "hang" (seconds) or both')
    answer = document.get("answer", present.answer)
    hang = document.get("hang", present.hang)
    if isinstance(answer, bool) or not isinstance(answer, int) or not 200 <= answer <= 599:
        raise ValueError(f"answer must be a status from 200 to 599, not {answer!r}")
    if isinstance(hang, bool) or not isinstance(hang, int | float) or not 0 <= hang <= HANG_MAX_S:
        raise ValueError(f"hang must be a number of seconds from 0 to {HANG_MAX_S:g}, not {hang!r}")
    return replace(present, answer=answer, hang=float(hang))


class Inbox:
    """The pages received, newest last; in `file`, if given, one JSON line each."""

    def __init__(self, file: Path | None) -> None:
        self._guard = threading.Lock()
        self._pages: deque[Page] = deque(maxlen=PAGES_IN_MEMORY)
        self._keys: set[str] = set()
        self._count = 0
        self._file: IO[bytes] | None = None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._load(file)
            self._file = file.open("ab")

    def keep(self, path: str, headers: Mapping[str, str], body: object, now: datetime) -> Page:
        """Store a page; when this returns it is on disk."""
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        key = kept.get("idempotency-key", "")
        with self._guard:
            at = now.isoformat(timespec="milliseconds")
            page = Page(self._count + 1, at, path, kept, bool(key) and key in self._keys, body)
            if self._file is not None:
                self._file.write(json.dumps(asdict(page)).encode() + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            self._remember(page)
        return page

    def pages(self) -> tuple[int, list[Page]]:
        """How many were ever received, and the latest of them (at most PAGES_IN_MEMORY)."""
        with self._guard:
            return self._count, list(self._pages)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _remember(self, page: Page) -> None:
        self._count = page.number
        self._pages.append(page)
        self._keys.add(page.headers.get("idempotency-key", ""))

    def _load(self, file: Path) -> None:
        if not file.exists():
            return
        content = file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            # The last line was cut off by a crash, so it was never confirmed; its sender will send it again.
            os.truncate(file, len(whole))
        for line in whole.splitlines():
            self._remember(Page(**json.loads(line)))


class Receiver(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], inbox: Inbox, behaviour: Behaviour) -> None:
        self.inbox = inbox
        self.behaviour = behaviour
        self.refused = 0
        super().__init__(address, _Connection)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that left is nobody's error
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # socketserver's own, unaltered


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = CLIENT_TIMEOUT_S
    wbufsize = -1  # one packet per answer
    disable_nagle_algorithm = True
    server: Receiver

    def do_GET(self) -> None:
        count, pages = self.server.inbox.pages()
        if self.path == "/":
            self._answer(
                200, _html(count, pages, self.server.behaviour).encode(errors="replace"), "text/html; charset=utf-8"
            )
        elif self.path == "/pages":
            self._json(200, {"count": count, "refused": self.server.refused, "items": [asdict(page) for page in pages]})
        elif self.path == "/behave":
            self._json(200, asdict(self.server.behaviour))
        else:
            self._json(404, {"error": "There are /, /pages and /behave here; pages are received by POST."})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self._read_body()
        if body is None:
            return
        if self.path == "/behave":
            self._behave(body)
            return
        behaviour = self.server.behaviour
        now = datetime.now(UTC)
        if behaviour.accepts:
            headers = {name.lower(): value for name, value in self.headers.items()}
            line = self.server.inbox.keep(self.path, headers, _parse(body), now).line()
        else:
            self.server.refused += 1
            title = summary(_parse(body))[1]
            line = _CONTROL_CHARACTERS.sub(" ", f"{now:%H:%M:%S}  refused with {behaviour.answer}: {title}")
        _say(line)
        time.sleep(behaviour.hang)
        self._json(behaviour.answer, {"received": behaviour.accepts})

    def log_message(self, format: str, *args: object) -> None:
        """Silent: each page has its own line."""

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length):
            self.close_connection = True
            self._json(411, {"error": "Send the page with a Content-Length."})
            return None
        if int(length) > BODY_MAX_BYTES:
            self.close_connection = True
            self._json(413, {"error": f"A page may have {BODY_MAX_BYTES} bytes, not {length}."})
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True  # the sender left half-way: nothing was received
            return None
        return body

    def _behave(self, body: bytes) -> None:
        if not ipaddress.ip_address(self.client_address[0]).is_loopback:
            self._json(403, {"error": "Behaviour can be changed only from this machine."})
            return
        try:
            self.server.behaviour = parse_behaviour(json.loads(body), self.server.behaviour)
        except ValueError as problem:
            self._json(400, {"error": str(problem)})
            return
        now = self.server.behaviour
        _say(f"From now on pages are answered {now.answer} after {now.hang:g} s.")
        self._json(200, asdict(now))

    def _json(self, status: int, document: object) -> None:
        self._answer(status, json.dumps(document).encode() + b"\n", "application/json")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        without_body = status in (204, 304)
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        if not without_body:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        if self.command != "HEAD" and not without_body:
            self.wfile.write(body)


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif;
  --line: color-mix(in srgb, currentColor 20%, transparent); }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th, p { color: color-mix(in srgb, currentColor 70%, transparent); font-weight: 500; }
"""


def _html(count: int, pages: list[Page], behaviour: Behaviour) -> str:
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in (page.received_at[:19].replace("T", " "), *summary(page.body)))
        + f"<td>{'again' if page.again else ''}</td></tr>"
        for page in reversed(pages[-200:])
    )
    head = "".join(f"<th>{name}</th>" for name in ("Received (UTC)", "Event", "Title", "Status", "Severity", ""))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    empty = "<p>None yet. Send one by POST to /hook; this page looks again every five seconds.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{count} pages received</title><style>{_STYLE}</style></head><body><h1>Pages received: {count}</h1>"
        f"<p>Pages are answered {behaviour.answer} after {behaviour.hang:g} s.</p>{table if pages else empty}"
        "</body></html>\n"
    )


def _say(line: str) -> None:
    try:
        print(line.encode(errors="replace").decode(), flush=True)
    except (BrokenPipeError, UnicodeEncodeError):
        pass  # nobody reads along, or not in these characters; the page itself is kept


def _parse(body: bytes) -> object:
    text = body.decode("utf-8", errors="replace")
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return document


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _first(body: Mapping[str, object], *names: str) -> str:
    return next((str(body[name]) for name in names if isinstance(body.get(name), str | int) and body[name] != ""), "")


def main(arguments: list[str] | None = None) -> int:
    """Receive until SIGTERM or SIGINT. Exit status: 0 stopped, 1 could not start, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m examples.receiver", description="Receive pages and show them.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=9999, help="port to listen on, 0 for any (default 9999)")
    parser.add_argument("--file", type=Path, help="keep the pages there, one JSON line each")
    parser.add_argument("--answer", type=int, default=200, help="status to answer pages with (default 200)")
    parser.add_argument("--hang", type=float, default=0.0, help="seconds to wait before each answer (default 0)")
    options = parser.parse_args(arguments)
    try:
        behaviour = parse_behaviour({"answer": options.answer, "hang": options.hang}, Behaviour())
    except ValueError as problem:
        parser.error(str(problem))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        inbox = Inbox(options.file)
        server = Receiver((options.host, options.port), inbox, behaviour)
    except (OSError, ValueError, TypeError) as problem:
        print(f"The receiver cannot start on {options.host}:{options.port}: {problem}", file=sys.stderr)
        return 1
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()
    _say(f"Receiving pages at http://{options.host}:{server.server_address[1]}/hook")
    stopping.wait()
    server.shutdown()
    server.server_close()
    inbox.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
