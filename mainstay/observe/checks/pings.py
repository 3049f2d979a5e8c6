"""Intake of heartbeat pings: `/ping/<uuid>[/start|/fail|/log|/<exit status>]` (Healthchecks' addresses).

A ping is answered only when it is committed. Pings that arrive while a commit runs share the next one: that is what
makes a thousand durable pings a second possible on one file. What a ping *means* is decided by the monitor
(`monitor.py`), which finds it unhandled in the table; so a ping is never lost between two processes.

No job can keep another from reporting: of one key only a few wait at a time (429 beyond), and pings to keys that no
check is known by wait apart, are looked up without a transaction, and never take the place of others.
"""

import asyncio
import logging
import math
import re
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from urllib.parse import parse_qs

from django.db import DatabaseError, connection, transaction

from mainstay.foundation.clock import now
from mainstay.foundation.http.bodies import Gone, Receive, Refusal, Scope, Send, pieces
from mainstay.foundation.http.connections import Limits
from mainstay.foundation.processes.outage import outage
from mainstay.foundation.processes.watchdog import Turn, place_of
from mainstay.foundation.secrets import digest

log = logging.getLogger("mainstay.pings")

BODY_KEPT_BYTES = 10_000
BODY_READ_BYTES = 10_000_000  # a long log is cut to its end; more than this is refused
BATCH = 500
WAITING_MOST, STRANGE_MOST = 5_000, 500  # pings that wait: to keys of checks, to keys that may be of none
PER_KEY_MOST = 100  # of one key: a fifth of a batch
KEYS_KEPT_S = 30.0
HELD_UP_AFTER_S = 2.5  # that no ping of those that came was stored
RETRIED_WITHIN_S = 10.0  # jobs ask again within seconds
RETRY_AFTER_S = {429: 1, 503: 5}
ANSWERS = {
    200: "OK",
    404: "no check has this address",
    429: f"{PER_KEY_MOST} pings of this check wait already: send fewer",
    503: "not stored: try again",
}
METHODS = {"GET", "HEAD", "POST"}
BAD_RUN = "rid is no UUID: write for example rid=04603d8b-2f7a-4d5e-9a57-3e1c8d2f4b60, another for each run"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
SIGNALS = {"": "success", "start": "start", "fail": "fail", "log": "log"}
TEXT = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"access-control-allow-origin", b"*"),
    (b"ping-body-limit", str(BODY_KEPT_BYTES).encode()),
]
Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class _Waiting:
    key: str  # the digest of the key in the address, as what is stored
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

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._bell: SimpleQueue[None] = SimpleQueue()  # a stroke for each ping, after it, and one for the end
        # Two lines, so that a flood of made-up keys neither delays nor displaces the pings of checks.
        self._lines: tuple[deque[_Waiting], deque[_Waiting]] = (deque(), deque())
        self._per_key: dict[str, int] = {}  # kept by the loop's thread alone
        self._ending = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ids: dict[str, tuple[int, float]] = {}
        self._committing_since: float | None = None
        self._refusals = math.inf, -math.inf  # when the first batch and the last one of a row were

    def turn(self) -> Turn:
        """What its thread does at this moment."""
        thread, since = self._thread, self._committing_since
        dead = thread is not None and not thread.is_alive() and not self._ending
        place = place_of(thread.ident) if thread is not None and since is not None else None
        return Turn("the thread that stores pings", since, place, dead=dead)

    def takes(self, monotonic: float) -> bool:
        """Tell whether pings are stored, that is, whether for seconds all that came have waited or were refused."""
        return monotonic - self._held_up_since(monotonic) <= HELD_UP_AFTER_S

    def _held_up_since(self, monotonic: float) -> float:
        first, last = self._refusals
        began = self._committing_since
        if monotonic - last > RETRIED_WITHIN_S:  # an old refusal says nothing of a ping that would come now
            first = math.inf
        return min(first, math.inf if began is None else began)

    def start(self) -> None:
        """Start committing; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._commit_batches, name="pings", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Commit what has arrived, then end."""
        self._ending = True
        self._bell.put(None)
        if self._thread is not None:
            self._thread.join(timeout=3)

    @property
    def waiting(self) -> int:
        """How many pings wait to be committed."""
        return sum(map(len, self._lines))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 200 committed, 404 no such check, 400/405/408/413 not a ping, 429/503 try again."""
        if scope["method"] not in METHODS:
            await _answer(send, 405, "use GET, HEAD or POST", [(b"allow", b"GET, HEAD, POST")])
            return
        try:
            given, kind, exit_status = parse(scope["path"])
            key = digest(str(given))
            run = _run_id(scope["query_string"])
            body = await _end_of(receive, self._limits) if scope["method"] == "POST" else b""
        except BadPing as error:
            await _answer(send, 400, str(error))
            return
        except Refusal as refusal:  # the rest of it may still come, so nothing else can follow
            await _answer(send, refusal.status, refusal.text, [(b"connection", b"close")])
            return
        waiting = _Waiting(
            key,
            kind,
            exit_status,
            run,
            scope["client"][0] if scope.get("client") else "",
            body.decode("utf-8", "replace").replace("\0", "�"),
            now(),
            asyncio.get_running_loop().create_future(),
        )
        status = self._refused(key) or await self._stored(waiting)
        retry = [(b"retry-after", str(RETRY_AFTER_S[status]).encode())] if status in RETRY_AFTER_S else []
        await _answer(send, status, ANSWERS[status], retry)

    def _refused(self, key: str) -> int | None:
        """Return why no more pings to this key are taken now, as a status."""
        if self._per_key.get(key, 0) >= PER_KEY_MOST:
            return 429
        if key in self._ids:
            return 503 if len(self._lines[0]) >= WAITING_MOST else None
        return 503 if len(self._lines[1]) >= STRANGE_MOST else None

    async def _stored(self, waiting: _Waiting) -> int:
        key = waiting.key
        self._per_key[key] = self._per_key.get(key, 0) + 1
        try:
            self._lines[0 if key in self._ids else 1].append(waiting)
            self._bell.put(None)
            return await waiting.answer
        finally:
            left = self._per_key.pop(key) - 1
            if left:
                self._per_key[key] = left

    def _commit_batches(self) -> None:
        self._remember_all()
        while batch := self._next_batch():
            self._committing_since = time.monotonic()
            answers = self._commit(batch)
            if 503 in answers:
                self._refusals = self._held_up_since(time.monotonic()), time.monotonic()
            elif 200 in answers:  # strangers' pings alone, which need no writing, prove nothing
                self._refusals = math.inf, -math.inf
            self._committing_since = None
            if self._loop is not None:
                self._loop.call_soon_threadsafe(_resolve, batch, answers)
        connection.close()

    def _next_batch(self) -> list[_Waiting]:
        """Wait for pings; return up to a batch of them, strangers last. Empty when the end has come."""
        while True:
            self._bell.get()
            batch: list[_Waiting] = []
            for line in self._lines:
                while line and len(batch) < BATCH:
                    batch.append(line.popleft())
            if batch or self._ending:  # else a stroke for one that was in an earlier batch
                return batch

    def _remember_all(self) -> None:
        """Know every key from the start, to be looked up again: a job that reports once a day is no stranger."""
        from mainstay.observe.checks.models import Check

        try:
            found = Check.objects.filter(kind="heartbeat").values_list("ping_digest", "id")
            self._ids.update((key, (check, 0.0)) for key, check in found.iterator(chunk_size=2_000) if key)
        except DatabaseError as error:
            log.warning("keys of heartbeats are learnt one by one: the database says: %s", error)
            connection.close()

    def _commit(self, batch: list[_Waiting]) -> list[int]:
        from mainstay.foundation.store import insert, moment
        from mainstay.observe.checks.models import Ping

        try:
            found = self._find({waiting.key for waiting in batch})
            known = [waiting for waiting in batch if waiting.key in found]
            if known:  # else nothing is to be written: a flood of made-up keys never takes SQLite's one write lock
                with transaction.atomic():
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

    def _find(self, keys: set[str]) -> dict[str, int]:
        from mainstay.observe.checks.models import Check

        fresh_from = time.monotonic() - KEYS_KEPT_S
        found = {key: hit[0] for key in keys if (hit := self._ids.get(key)) is not None and hit[1] > fresh_from}
        unknown = keys - found.keys()
        if unknown:
            read = dict(
                Check.objects.filter(ping_digest__in=unknown, kind="heartbeat").values_list("ping_digest", "id")
            )
            stamp = time.monotonic()
            self._ids.update((key, (check, stamp)) for key, check in read.items())
            for key in unknown - read.keys():
                self._ids.pop(key, None)  # its check is gone: a stranger again
            found |= read
        return found


def _resolve(batch: list[_Waiting], answers: list[int]) -> None:
    for waiting, status in zip(batch, answers, strict=True):
        if not waiting.answer.done():
            waiting.answer.set_result(status)


def _run_id(query: bytes) -> str:
    """The run that `rid` names, in one form: a UUID (RFC 9562, section 4). Raises BadPing for what is none."""
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("rid") if query else None
    if given is None:
        return ""
    if _UUID.fullmatch(given[0]) is None:
        raise BadPing(BAD_RUN)
    return given[0].lower()


async def _end_of(receive: Receive, limits: Limits) -> bytes:
    """Return the end of a body. A job whose connection broke meanwhile did report.

    Raises:
        Refusal: it is too long or comes too slowly.
    """
    kept, size = b"", 0
    try:
        async for part in pieces(receive, limits):
            kept, size = (kept + part)[-BODY_KEPT_BYTES:], size + len(part)
            if size > BODY_READ_BYTES:
                text = f"the log may have {BODY_READ_BYTES} bytes; its last {BODY_KEPT_BYTES} are kept"
                raise Refusal(413, text)
    except Gone:
        pass
    return kept


async def _answer(send: Send, status: int, text: str, headers: Headers | None = None) -> None:
    body = text.encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*TEXT, length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
