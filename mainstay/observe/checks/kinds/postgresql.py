"""The `postgresql` check type: connect, authenticate, one query."""

import asyncio
import time
from typing import ClassVar, Literal

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn
from pydantic import Field

from mainstay.observe.checks.kinds.base import Host, IPVersion, Port, host_port
from mainstay.observe.checks.kinds.database import LONGEST_QUERY, DatabaseExpect, take_phases, take_value
from mainstay.observe.checks.kinds.stepped import SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.connect import judged_addresses
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError
from mainstay.observe.checks.probe.secret import Secret

_CANCEL_S = 0.15


class PostgresqlSettings(SteppedSettings):
    """A PostgreSQL server that must let us in and answer a query."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.BODY}
    )

    host: Host = Field(description="Name or address of the server.")
    port: Port = Field(default=5432, description="Port of the server.")
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    database: str = Field(default="postgres", max_length=63, description="Database to connect to.")
    username: str = Field(
        default="postgres",
        max_length=63,
        description="User to connect as; give it no more rights than the query needs.",
    )
    password: Secret | None = Field(default=None, description="The user's password.")
    tls: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="libpq's sslmode: whether to use TLS, and whether to check the certificate."
    )
    ca_file: str | None = Field(
        default=None, description="Path of a PEM file with the authorities for verify-ca and verify-full."
    )
    query: str = Field(
        default="SELECT 1",
        max_length=LONGEST_QUERY,
        description="One query; the first column of its first row is the value.",
    )
    expect: DatabaseExpect = Field(default_factory=DatabaseExpect, description="What must hold for the check to be up.")


class Postgresql(SteppedKind[PostgresqlSettings]):
    """Drives libpq itself instead of a psycopg connection, to tell the phases apart and to read one row only."""

    name: ClassVar[str] = "postgresql"
    label: ClassVar[str] = "PostgreSQL"
    Settings = PostgresqlSettings

    def target(self, settings: PostgresqlSettings) -> str:
        return f"{host_port(settings.host, settings.port)}/{settings.database}"

    async def run(self, settings: PostgresqlSettings, context: Context, steps: Steps) -> None:
        judged = await judged_addresses(context, settings.host, settings.ip_version)
        steps.dns_s = judged.dns_s
        steps.ip = judged.addresses[0]
        connection = pq.PGconn.connect_start(_conninfo(settings, judged.addresses))
        querying = False
        try:
            connected_at = await _connect(connection, steps)
            authenticated_at = time.perf_counter()
            steps.facts["server_version"] = connection.server_version
            steps.now = "waiting for the query's result"
            querying = True
            value = await _first_value(connection, settings.query)
            querying = False
            take_phases(steps, authenticated_at - connected_at, time.perf_counter() - authenticated_at)
            take_value(steps, value, settings.expect.value, "the query")
        finally:
            try:
                if querying:
                    await _cancel(connection)
            finally:
                connection.finish()


def _conninfo(settings: PostgresqlSettings, addresses: tuple[str, ...]) -> bytes:
    """`hostaddr` pins the judged addresses; `host` stays for the certificate's name. Empty settings shut out the
    environment's (PGPASSFILE, PGSERVICE)."""
    options: dict[str, str] = {
        "host": ",".join([settings.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": str(settings.port),
        "dbname": settings.database,
        "user": settings.username,
        "sslmode": settings.tls,
        "application_name": "mainstay",
        "passfile": "/nonexistent",
        "gssencmode": "disable",
    }
    if settings.password is not None:
        options["password"] = settings.password.get_secret_value()
    if settings.ca_file is not None:
        options["sslrootcert"] = settings.ca_file
    return make_conninfo(**options).encode()


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


async def _first_value(connection: PGconn, query: str) -> str | None:
    """The first column of the first row as text; the rest is not read. Raises ProbeError with the server's words."""
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
        return None
    value = result.get_value(0, 0)
    return None if value is None else value.decode("utf-8", "replace")


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
