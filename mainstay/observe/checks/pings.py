"""Intake of heartbeat pings: `/ping/<uuid>[/start|/fail|/log|/<exit status>]` (Healthchecks' addresses).

A ping is answered only when it is committed. Pings that arrive while a commit runs share the next one: that is what
makes a thousand durable pings a second possible on one file. What a ping *means* is decided by the monitor
(`monitor.py`), which finds it unhandled in the table; so a ping is never lost between two processes.
"""

import asyncio
import logging
import queue
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from django.db import DatabaseError, connection, transaction

from mainstay.foundation.clock import now
from mainstay.foundation.processes.outage import outage

log = logging.getLogger("mainstay.pings")

BODY_KEPT_BYTES = 10_000
BODY_READ_BYTES = 10_000_000  # a long log is cut to its end; more than this is refused
BATCH = 500
KEYS_KEPT_S = 30.0
METHODS = {"GET", "HEAD", "POST"}
SIGNALS = {"": "success", "start": "start", "fail": "fail", "log": "log"}
RETRY = [(b"retry-after", b"10")]
TEXT = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]


@dataclass(slots=True)
class _Waiting:
    key: uuid.UUID
    kind: str
    exit_status: int | None
    run: str
    source: str
    body: str
    at: datetime
    answer: "asyncio.Future[int]"


class BadPing(ValueError):
    """The address is none of a ping; the message says what would be."""


def parse(path: str) -> tuple[uuid.UUID, str, int | None]:
    """Return key, kind and exit status of a ping's path.

    Raises:
        BadPing: neither `/ping/<uuid>` nor that with `/start`, `/fail`, `/log` or an exit status of 0 to 255.
    """
    parts = path.removeprefix("/ping/").rstrip("/").split("/")
    signal = parts[1] if len(parts) > 1 else ""
    try:
        key = uuid.UUID(parts[0])
    except ValueError:
        raise BadPing("not a ping address: /ping/<uuid> of a heartbeat check") from None
    if len(parts) <= 2 and signal in SIGNALS:
        return key, SIGNALS[signal], None
    if len(parts) == 2 and signal.isdecimal() and signal.isascii() and len(signal) <= 3 and int(signal) <= 255:
        return key, "fail" if int(signal) else "success", int(signal)
    raise BadPing("after the uuid comes nothing, start, fail, log or an exit status from 0 to 255")


class Intake:
    """ASGI application for `/ping/`; commits in batches from a thread of its own."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ids: dict[uuid.UUID, tuple[int, float]] = {}

    def start(self) -> None:
        """Start committing; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._commit_batches, name="pings", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Commit what has arrived, then end."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout=3)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request: 200 committed, 404 no such check, 400/405/413 not a ping, 503 try again."""
        if scope["method"] not in METHODS:
            await _answer(send, 405, "use GET, HEAD or POST", [(b"allow", b"GET, HEAD, POST")])
            return
        try:
            key, kind, exit_status = parse(scope["path"])
        except BadPing as error:
            await _answer(send, 400, str(error))
            return
        body = await _body(receive) if scope["method"] == "POST" else b""
        if body is None:
            await _answer(send, 413, f"the log may have {BODY_READ_BYTES} bytes; its last {BODY_KEPT_BYTES} are kept")
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(
            key,
            kind,
            exit_status,
            _run_id(scope["query_string"]),
            scope["client"][0] if scope.get("client") else "",
            body.decode("utf-8", "replace").replace("\0", "�"),
            now(),
            loop.create_future(),
        )
        self._queue.put(waiting)
        status = await waiting.answer
        text = {200: "OK", 404: "no check has this address"}.get(status, "not stored: try again")
        await _answer(send, status, text, RETRY if status == 503 else None)

    def _commit_batches(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ending = [first], False
            while len(batch) < BATCH:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    ending = True
                    break
                batch.append(item)
            answers = self._commit(batch)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(_resolve, batch, answers)
            if ending:
                break
        connection.close()

    def _commit(self, batch: list[_Waiting]) -> list[int]:
        from mainstay.observe.checks.models import Ping
        from mainstay.observe.checks.store import insert, moment

        try:
            with transaction.atomic():
                found = self._find({waiting.key for waiting in batch})
                known = [waiting for waiting in batch if waiting.key in found]
                insert(
                    Ping,
                    ("check_ref_id", "at", "kind", "exit_status", "run", "source", "body", "handled"),
                    [
                        (found[w.key], moment(w.at), w.kind, w.exit_status, w.run, w.source, w.body, False)
                        for w in known
                    ],
                )
            outage.answered("pings", time.monotonic())
            return [200 if waiting.key in found else 404 for waiting in batch]
        except DatabaseError as error:
            outage.refused("pings", error, time.monotonic())
            connection.close()
        except Exception:  # a defect: were this thread to end, every later ping would wait for ever
            log.exception("%d pings refused", len(batch))
        return [503] * len(batch)

    def _find(self, keys: set[uuid.UUID]) -> dict[uuid.UUID, int]:
        from mainstay.observe.checks.models import Check

        fresh_from = time.monotonic() - KEYS_KEPT_S
        found = {key: hit[0] for key in keys if (hit := self._ids.get(key)) is not None and hit[1] > fresh_from}
        unknown = keys - found.keys()
        if unknown:
            read = dict(Check.objects.filter(ping_key__in=unknown, kind="heartbeat").values_list("ping_key", "id"))
            stamp = time.monotonic()
            self._ids.update((key, (check, stamp)) for key, check in read.items())
            found |= read
        return found


def _resolve(batch: list[_Waiting], answers: list[int]) -> None:
    for waiting, status in zip(batch, answers, strict=True):
        if not waiting.answer.done():
            waiting.answer.set_result(status)


def _run_id(query: bytes) -> str:
    if not query:
        return ""
    return parse_qs(query.decode("latin-1")).get("rid", [""])[0][:36].replace("\0", "")


async def _body(receive: Any) -> bytes | None:
    """Return the end of the body, or None when it is too long. A job whose connection broke meanwhile did report."""
    kept, size = b"", 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        kept, size = (kept + part)[-BODY_KEPT_BYTES:], size + len(part)
        if size > BODY_READ_BYTES:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return kept


async def _answer(send: Any, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = text.encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*TEXT, length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
