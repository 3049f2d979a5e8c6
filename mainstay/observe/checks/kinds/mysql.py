"""The `mysql` check type: connect, authenticate, one query; MySQL and MariaDB."""

import asyncio
import socket
import ssl
import time
from typing import ClassVar, Literal

import pymysql
import pymysql.cursors
from pydantic import Field
from pymysql.constants import FIELD_TYPE

from mainstay.foundation.outside_files import PemText
from mainstay.foundation.strict import Secret
from mainstay.net.addresses import Host, IPVersion, Port, host_port
from mainstay.net.connect import connected_socket, judged_addresses, tls_context
from mainstay.observe.checks.kinds.database import LONGEST_QUERY, DatabaseExpect, plain, take_phases, take_value
from mainstay.observe.checks.kinds.stepped import SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.jsonpath import MISSING, parse_json
from mainstay.observe.checks.probe.outcome import ProbeError


class MysqlSettings(SteppedSettings):
    """A MySQL or MariaDB server that must let us in and answer a query."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.BODY}
    )

    host: Host = Field(description="Name or address of the server.")
    port: Port = Field(default=3306, description="Port of the server.")
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    database: str | None = Field(default=None, max_length=64, description="Database to use.")
    username: str = Field(max_length=80, description="User to connect as; give it no more rights than the query needs.")
    password: Secret | None = Field(default=None, description="The user's password.")
    tls: Literal["disable", "require", "verify-full"] = Field(
        default="disable",
        description="Whether to use TLS, and whether the certificate must be trusted and match the host.",
    )
    ca: PemText | None = Field(
        default=None, description="Authorities to trust instead of the usual ones: PEM text, or the path of a PEM file."
    )
    query: str = Field(
        default="SELECT 1",
        max_length=LONGEST_QUERY,
        description="One query; the first column of its first row is the value.",
    )
    expect: DatabaseExpect = Field(default_factory=DatabaseExpect, description="What must hold for the check to be up.")


class Mysql(SteppedKind[MysqlSettings]):
    name: ClassVar[str] = "mysql"
    label: ClassVar[str] = "MySQL or MariaDB"
    Settings = MysqlSettings

    def target(self, settings: MysqlSettings) -> str:
        return host_port(settings.host, settings.port) + (f"/{settings.database}" if settings.database else "")

    async def run(self, settings: MysqlSettings, context: Context, steps: Steps) -> None:
        judged = await judged_addresses(context, settings.host, settings.ip_version)
        steps.dns_s = judged.dns_s
        steps.now = "connecting"
        began = time.perf_counter()
        sock, steps.ip = await connected_socket(judged.addresses, settings.port)
        steps.connect_s = time.perf_counter() - began
        steps.connected = True
        steps.now = "authenticating and waiting for the query's result"
        tls = None
        if settings.tls != "disable":
            tls = tls_context(verify=settings.tls == "verify-full", ca=settings.ca)
        loop = asyncio.get_running_loop()
        try:
            auth_s, query_s, version, value = await loop.run_in_executor(
                context.threads, _ask, settings, sock, tls, context.timeout_s
            )
        finally:
            # Ends the thread's read when the probe was cut off, however slowly the server drips.
            _shut(sock)
        steps.facts["server_version"] = version
        take_phases(steps, auth_s, query_s)
        take_value(steps, value, settings.expect.value, "the query")


def _ask(
    settings: MysqlSettings, sock: socket.socket, tls: ssl.SSLContext | None, timeout_s: float
) -> tuple[float, float, str, object]:
    """Blocking: authenticate on the connected socket and query; (seconds, seconds, version, value)."""
    sock.settimeout(timeout_s)
    began = time.perf_counter()
    connection: pymysql.connections.Connection[pymysql.cursors.SSCursor] = pymysql.connections.Connection(
        host=settings.host,
        port=settings.port,
        user=settings.username,
        password=settings.password.get_secret_value() if settings.password is not None else "",
        database=settings.database,
        read_timeout=timeout_s,
        write_timeout=timeout_s,
        ssl=tls,
        ssl_disabled=tls is None,
        local_infile=False,
        charset="utf8mb4",
        cursorclass=pymysql.cursors.SSCursor,
        defer_connect=True,
    )
    try:
        connection.connect(sock)
        authenticated = time.perf_counter()
        version = str(connection.get_server_info())  # type: ignore[no-untyped-call]  # missing in the stubs
        with_cursor = connection.cursor()
        with_cursor.execute(settings.query)
        # Unbuffered: a query that gives a million rows costs one row here.
        row = with_cursor.fetchone()
        value = _typed(row[0], int(with_cursor.description[0][1])) if row else MISSING
        return authenticated - began, time.perf_counter() - authenticated, version, value
    except pymysql.err.Error as error:
        raise ProbeError(_said(error)) from None
    except ssl.SSLError as error:
        raise ProbeError(f"the TLS handshake failed: {error.reason or error}") from None
    except (ValueError, IndexError, AssertionError, RuntimeError) as error:
        # PyMySQL trips over an answer that is not MySQL's in many ways.
        raise ProbeError(f"the answer is not MySQL's ({type(error).__name__})") from None


def _typed(value: object, field_type: int) -> object:
    if field_type == FIELD_TYPE.JSON and isinstance(value, str):
        found = parse_json(value.encode())
        return value if found is MISSING else found
    return plain(value)


def _said(error: pymysql.err.Error) -> str:
    number, *rest = error.args or (0,)
    words = str(rest[0] if rest else number).rstrip(".")
    return f"{words} (error {number})" if rest else words


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the peer, or PyMySQL, closed it before
    sock.close()
