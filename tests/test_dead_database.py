"""The whole program on PostgreSQL when all its connections die without a word: it pages again within half a minute."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.parts import Receiver, Target
from tests.program import Program, until
from tests.proxy import Proxy
from tests.test_trouble import LONGER_THAN_A_MINUTE_S, configuration, longest_pause_s, statuses

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.database,
    pytest.mark.postgresql,
]


@contextmanager
def locked(url: str, *tables: str) -> Iterator[None]:
    """Hold tables as `LOCK TABLE` in somebody's forgotten session does, for the length of a `with`."""
    with psycopg.connect(url) as session:
        session.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE".encode())
        yield


LOCKED = {
    "results": ("checks_checkstate", "checks_result"),
    "deliveries": ("delivery_delivery",),
    "beats_and_journal": ("processes_process", "journal_entry"),
}


def test_tables_locked_for_more_than_a_minute_end_nobody_and_are_told(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(LOCKED)) as each:  # at the same time, since each waits
        for done in [each.submit(bears_a_lock, tmp_path / name, name, tables) for name, tables in LOCKED.items()]:
            done.result()


def bears_a_lock(home: Path, name: str, tables: tuple[str, ...]) -> None:
    """Run the program on a database of its own, of which some tables are locked for long."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS locked_{name} WITH (FORCE)".encode())
        server.execute(f"CREATE DATABASE locked_{name}".encode())
        url = f"postgresql://{server.info.user}@/locked_{name}?host={server.info.host}"
    home.mkdir()
    target, receiver = Target(), Receiver()
    target.start()
    receiver.start()
    program = Program(home / "program", extra={"DATABASE_URL": url})
    file = home / "file.yaml"
    file.write_text(configuration(target, receiver))
    try:
        program.start("--apply", str(file))
        until(lambda: target.asked, "the check is probed")
        before = program.children()
        with locked(url, *tables):
            begun = time.monotonic()
            target.down = {"page"}
            until(lambda: not program.healthy(), "healthz says that something is wrong")
            while time.monotonic() < begun + LONGER_THAN_A_MINUTE_S:
                assert not program.healthy(), "it is said all the time"
                time.sleep(1)
            ended = time.monotonic()
        assert longest_pause_s(target, begun, ended) < 5, "checks go on being probed"
        assert "another program has locked it" in program.log
        until(lambda: "'check': 'page'" in str(list(receiver.pages)), "the page that was owed")
        until(program.healthy, "healthy again")
        assert program.children() == before
        assert "ending this process" not in program.log
        program.command("journal", "verify")
    finally:
        program.stop()
        target.stop()
        receiver.stop()


@pytest.mark.fault("R9")
def test_dead_connections_are_replaced_within_half_a_minute(tmp_path: Path) -> None:
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS silent")
        server.execute("CREATE DATABASE silent")
        user = server.info.user
    directory = parse_qs(urlsplit(url).query)["host"][0]
    target, receiver, proxy = Target(), Receiver(), Proxy(f"{directory}/.s.PGSQL.5432")
    target.start()
    receiver.start()
    through = f"postgresql://{user}@127.0.0.1:{proxy.port}/silent"
    program = Program(tmp_path / "program", extra={"DATABASE_URL": through})
    file = tmp_path / "file.yaml"
    file.write_text(configuration(target, receiver))
    try:
        program.start("--apply", str(file))
        time.sleep(3)
        before = program.children()
        proxy.swallow()
        begin = time.monotonic()
        target.down = {"page"}
        until(lambda: statuses(receiver) == ["firing"], "the page", within_s=60)
        assert time.monotonic() - begin < 30, program.log
        until(program.healthy, "healthy again", within_s=15)
        assert program.children() == before  # and nobody had to be ended for it
    finally:
        program.stop()
        target.stop()
        receiver.stop()
        proxy.stop()
