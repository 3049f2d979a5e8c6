"""The whole program on PostgreSQL when all its connections die without a word: it pages again within half a minute."""

import os
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.parts import Receiver, Target
from tests.program import Program, until
from tests.proxy import Proxy
from tests.test_trouble import configuration, statuses

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.database,
    pytest.mark.postgresql,
]


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
        assert time.monotonic() - begin < 30
        until(program.healthy, "healthy again", within_s=15)
        assert program.children() == before  # and nobody had to be ended for it
    finally:
        program.stop()
        target.stop()
        receiver.stop()
        proxy.stop()
