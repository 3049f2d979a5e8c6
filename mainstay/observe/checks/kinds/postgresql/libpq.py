"""libpq as probes use it: its state machine step by step, to tell the phases apart and to read one row only."""

import asyncio
import time
from collections.abc import Mapping

import psycopg
from psycopg import postgres, pq
from psycopg.adapt import Transformer
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

from mainstay.observe.checks.kinds.database import plain
from mainstay.observe.checks.kinds.stepped import Steps
from mainstay.observe.checks.probe.jsonpath import MISSING, parse_json
from mainstay.observe.checks.probe.outcome import ProbeError

_CANCEL_S = 0.15
_JSON = ("json", "jsonb")
_TYPED = ("bool", "int2", "int4", "int8", "oid", "numeric", "float4", "float8")
_LISTED = (*_TYPED, *_JSON, "text", "varchar", "bpchar", "name")
_OF_JSON = frozenset(postgres.types[name].oid for name in _JSON)
_KEPT = frozenset(
    {postgres.types[name].oid for name in _TYPED} | {postgres.types[name].array_oid for name in _LISTED}
)  # as PostgreSQL numbers them


async def ask(options: Mapping[str, str], query: str, steps: Steps) -> tuple[float, float, object]:
    """Connect, authenticate, query; return how many seconds the last two took, and the first value.

    Raises:
        ProbeError, with the server's words.
    """
    connection = pq.PGconn.connect_start(make_conninfo(**options).encode())
    querying = False
    try:
        connected_at = await _connect(connection, steps)
        authenticated_at = time.perf_counter()
        steps.facts["server_version"] = connection.server_version
        steps.now = "waiting for the query's result"
        querying = True
        value = await _first_value(connection, query)
        querying = False
        return authenticated_at - connected_at, time.perf_counter() - authenticated_at, value
    finally:
        try:
            if querying:
                await _cancel(connection)
        finally:
            connection.finish()


async def _connect(connection: PGconn, steps: Steps) -> float:
    """Drive libpq's connection state machine; returns when (perf_counter) the TCP connection stood."""
    began = time.perf_counter()
    connected_at = 0.0
    steps.now = "connecting"
    while True:
        if connection.status == pq.ConnStatus.BAD:
            raise ProbeError(_libpq_error(connection))
        state = connection.connect_poll()
        if not connected_at and connection.status not in (pq.ConnStatus.STARTED, pq.ConnStatus.BAD):
            connected_at = time.perf_counter()
            steps.connect_s = connected_at - began
            steps.connected = True
            steps.now = "authenticating"
        match state:
            case pq.PollingStatus.OK:
                return connected_at
            case pq.PollingStatus.FAILED:
                raise ProbeError(_libpq_error(connection))
            case pq.PollingStatus.READING:
                await _ready(connection.socket, write=False)
            case _:
                await _ready(connection.socket, write=True)


async def _first_value(connection: PGconn, query: str) -> object:
    """The first column of the first row, MISSING without one; the rest is not read.

    Raises:
        ProbeError, with the server's words.
    """
    connection.send_query_params(query.encode(), None)
    connection.set_single_row_mode()
    while connection.flush():
        await _ready(connection.socket, write=True)
    while connection.is_busy():
        await _ready(connection.socket, write=False)
        connection.consume_input()
    result = connection.get_result()
    if result is None:
        raise ProbeError("the query gave no result")
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise ProbeError(f"the query failed: {_one_line(result.error_message)}")
    if (
        result.status not in (pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.TUPLES_OK)
        or not result.ntuples
        or not result.nfields
    ):
        return MISSING
    return _typed(result.get_value(0, 0), result.ftype(0))


def _typed(text: bytes | None, oid: int) -> object:
    """The value as JSON has it: booleans, numbers, arrays, JSON; what JSON has no type for as the server writes it."""
    if text is None:
        return None
    if oid in _OF_JSON:
        found = parse_json(text)
        return text.decode("utf-8", "replace") if found is MISSING else found
    if oid in _KEPT:
        try:
            return plain(Transformer().get_loader(oid, pq.Format.TEXT).load(text))
        except (ValueError, ArithmeticError, psycopg.Error):
            pass
    return text.decode("utf-8", "replace")


async def _cancel(connection: PGconn) -> None:
    """Tell the server to end the query: PostgreSQL does not notice by itself that nobody waits any more.

    Not done by `statement_timeout`: as a startup option pgbouncer refuses it, and as SET it would leak to others.
    """
    if pq.version() < 170000 or connection.status != pq.ConnStatus.OK:
        return
    try:
        async with asyncio.timeout(_CANCEL_S):
            canceller = connection.cancel_conn()
            try:
                canceller.start()
                while (state := canceller.poll()) not in (pq.PollingStatus.OK, pq.PollingStatus.FAILED):
                    await _ready(canceller.socket, write=state == pq.PollingStatus.WRITING)
            finally:
                canceller.finish()
    except (TimeoutError, psycopg.Error):
        return


async def _ready(descriptor: int, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    (loop.add_writer if write else loop.add_reader)(descriptor, wake)
    try:
        await ready
    finally:
        (loop.remove_writer if write else loop.remove_reader)(descriptor)


def _libpq_error(connection: PGconn) -> str:
    return f"connecting failed: {_one_line(connection.error_message)}"


def _one_line(message: bytes) -> str:
    return " ".join(message.decode("utf-8", "replace").split()).rstrip(".") or "the server closed the connection"
