"""Connections to PostgreSQL that die without a word, through a real proxy that goes silent: back by itself."""

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction

from mainstay.foundation.postgresql import base
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.processes.outage import words
from tests.proxy import Proxy

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]
PATIENCE_S = 1


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    connection.close()
    given = connection.settings_dict
    directory = given["HOST"] or tempfile.gettempdir()
    proxy = Proxy(f"{directory}/.s.PGSQL.{given['PORT'] or 5432}")
    limits = f"-c statement_timeout={PATIENCE_S}s -c idle_in_transaction_session_timeout={2 * PATIENCE_S}s"
    options = {**settings.DATABASES["default"]["OPTIONS"], "options": limits}
    changed: dict[str, Any] = {"HOST": "127.0.0.1", "PORT": str(proxy.port), "OPTIONS": options}
    before = {name: given[name] for name in changed}
    given.update(changed)
    monkeypatch.setattr(base, "GRACE_S", 0.5)
    yield proxy
    connection.close()
    proxy.stop()
    given.update(before)
    base.silence.begun_at = float("-inf")


def ask() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 42")
        return int(cursor.fetchone()[0])


@pytest.mark.fault("R9")
@pytest.mark.timing
def test_a_connection_that_fell_silent_is_given_up_and_the_next_try_works(proxy: Proxy) -> None:
    assert ask() == 42
    proxy.swallow()
    begin = time.monotonic()
    with pytest.raises(DatabaseError) as caught:
        ask()
    assert PATIENCE_S <= time.monotonic() - begin < PATIENCE_S + 1.5
    assert words(caught.value) == "does not answer (the database has said nothing for 2 s)"
    connection.close()
    assert ask() == 42


@pytest.mark.timing
@pytest.mark.parametrize("asked", ["after the first was given up", "just before"])
def test_when_one_was_found_silent_the_others_are_not_waited_for(proxy: Proxy, asked: str) -> None:
    ready, go, took = threading.Barrier(4), threading.Event(), []
    fresh = threading.Barrier(3)

    def idle() -> None:
        try:
            ask()
            ready.wait(10)
            go.wait(10)
            with pytest.raises(DatabaseError):
                ask()
            took.append(time.monotonic() - found)
            fresh.wait(10)
            connection.close()
            ask()
        finally:
            connection.close()

    threads = [threading.Thread(target=idle) for _ in range(3)]
    for thread in threads:
        thread.start()
    ask()
    ready.wait(10)
    proxy.swallow()
    if asked == "just before":
        threading.Timer(PATIENCE_S, go.set).start()  # they wait already when the first is given up
    with pytest.raises(DatabaseError):
        ask()
    found = time.monotonic()
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(took) == 3
    assert max(took) < 0.4


@pytest.mark.timing
def test_one_that_falls_silent_just_after_it_was_accepted_is_given_up(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "connect_timeout", 1)
    begin = connection.get_new_connection

    def accepted(parameters: dict[str, Any]) -> Any:
        made = begin(parameters)
        proxy.swallow()
        return made

    monkeypatch.setattr(connection, "get_new_connection", accepted)
    begun = time.monotonic()
    with pytest.raises(DatabaseError, match="has said nothing for"):
        ask()
    assert time.monotonic() - begun < 3


def test_what_is_given_up_unasked_has_not_been_done(proxy: Proxy) -> None:
    with connection.cursor() as cursor:
        connection.connection.heard_at -= 10
        base.silence.found(time.monotonic() - 5)
        with psycopg.connect(**{**connection.get_connection_params(), "autocommit": True}) as other:
            other.execute("CREATE SEQUENCE IF NOT EXISTS given_up")
            with pytest.raises(DatabaseError, match="given up"):
                cursor.execute("SELECT nextval('given_up')")
            assert other.execute("SELECT is_called FROM given_up").fetchone() == (False,)
            other.execute("DROP SEQUENCE given_up")


def test_ctrl_c_within_a_wait_leaves_the_connection_usable(proxy: Proxy) -> None:
    connection.settings_dict["OPTIONS"]["options"] = "-c statement_timeout=10s"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs tests in parallel ignores it
    try:
        with connection.cursor() as cursor:
            timer = threading.Timer(0.5, signal.raise_signal, (signal.SIGINT,))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                cursor.execute("SELECT pg_sleep(5)")
            timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not connection.connection.closed
    assert ask() == 42


def test_an_answer_that_comes_slowly_is_not_silence(proxy: Proxy) -> None:
    connection.settings_dict["OPTIONS"]["options"] = f"-c statement_timeout={4 * PATIENCE_S}s"
    connection.ensure_connection()
    connection.connection.patience_s = 1.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT repeat('x', 20000), pg_sleep(0.15) FROM generate_series(1, 14)")
        assert len(cursor.fetchall()) == 14


def test_the_locks_of_a_connection_that_fell_silent_within_a_transaction_are_let_go(proxy: Proxy) -> None:
    Revision.bump("locked")

    def hold() -> None:
        with contextlib.suppress(DatabaseError), transaction.atomic():
            Revision.bump("locked")
            proxy.swallow()
            ask()  # given up by us; the server, which hears nothing of that, has to let go by itself
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    holder.join(10)
    connection.close()
    give_up = time.monotonic() + 3 * PATIENCE_S
    while True:
        try:
            Revision.bump("locked")
            break
        except DatabaseError:  # its own limit: try again, as the cycles do
            assert time.monotonic() < give_up
            connection.close()
    assert Revision.current("locked") == 2


def test_a_statement_that_takes_long_is_ended_by_the_server_and_the_connection_lives(proxy: Proxy) -> None:
    with pytest.raises(DatabaseError, match="statement timeout"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    assert ask() == 42


def test_without_a_limit_at_the_server_nothing_is_given_up(proxy: Proxy) -> None:
    connection.settings_dict["OPTIONS"]["options"] = ""
    assert ask() == 42
    assert connection.connection.patience_s is None


def test_migrations_may_take_as_long_as_they_need(proxy: Proxy) -> None:
    default: Any = connections["default"]
    default.lift_limits()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(2)")


def test_every_wait_has_an_end_by_default_and_the_url_may_say_otherwise() -> None:
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name ~ '(statement|lock|session)_timeout$'")
        found = dict(cursor.fetchall())
    assert found["statement_timeout"] == "15000"
    assert found["lock_timeout"] == "10000"
    assert found["idle_in_transaction_session_timeout"] == "20000"
    assert connection.connection.patience_s == 20
    assert isinstance(connection.connection, psycopg.Connection)
