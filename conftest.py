"""Fixtures of all tests. Which database they run on: `tests/environment.py`."""

import gc
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.core.management.commands import flush as flushing
from django.db import connection
from whitenoise.middleware import WhiteNoiseMiddleware

from mainstay.foundation import gaps
from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor
from mainstay.foundation.processes import notices
from tests import tables

# How long one example takes depends on what else the machine does.
hypothesis.settings.register_profile("full", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)
hypothesis.settings.load_profile("full")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """A file, not memory: threads and processes under test must meet the same database.

    Workers copy the tables that one of them has made; a single process makes its own.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    given = connection.settings_dict["TEST"]
    if connection.vendor == "sqlite":
        file = settings.ENVIRONMENT.home / f"test-{worker or 'alone'}.sqlite3"
        given["NAME"] = str(file)
        if worker:
            tables.copy_to(file)
    elif worker:
        given["TEMPLATE"] = tables.on_postgresql(os.environ["DATABASE_URL"])


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """What was copied is kept; the whole directory goes in the end."""
    return connection.vendor == "sqlite" and "PYTEST_XDIST_WORKER" in os.environ


OF_MODELS = {"django_content_type", "auth_permission"}


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """Let the flush after transactional tests pass the journal's triggers, which refuse every DELETE.

    What Django keeps of the models themselves stays, so that it need not be written anew each time.
    """
    flush = connection.ops.sql_flush

    def sql_flush(style: object, tables: list[str], **options: bool) -> list[str]:
        tables = [table for table in tables if table not in OF_MODELS]
        statements = flush(style, tables, **options)
        if connection.vendor == "postgresql" and statements:
            # TRUNCATE makes new files for fifty tables and their indexes, a second and more each time.
            emptied = (f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables)
            return ["SET session_replication_role = replica", *emptied, "SET session_replication_role = DEFAULT"]
        if connection.vendor != "sqlite" or not statements:
            return statements
        from importlib import import_module

        migration = import_module("mainstay.foundation.journal.migrations.0002_append_only")
        names = [statement.split()[2] for statement in migration.sqlite()]
        return [*(f"DROP TRIGGER IF EXISTS {name}" for name in names), *statements, *migration.sqlite()]

    connection.ops.sql_flush = sql_flush
    with pytest.MonkeyPatch.context() as context:
        context.setattr(flushing, "emit_post_migrate_signal", lambda *_: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _static_files_are_listed_once() -> Iterator[None]:
    """Every `Client()` makes the middleware anew, and its list of the static files, which are the same in all tests."""
    found: dict[str, Any] = {}
    list_files = WhiteNoiseMiddleware.add_files_from_finders

    def listed(self: WhiteNoiseMiddleware) -> None:
        if not found:
            list_files(self)
            found.update(self.files)
        self.files.update(found)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(WhiteNoiseMiddleware, "add_files_from_finders", listed)
        yield


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test did to the time is no jump of the clock to the next, and what it had to say is not said there."""
    monkeypatch.setattr(gaps, "detector", gaps.Detector())
    monkeypatch.setattr(notices, "_told", {})


@pytest.fixture
def me() -> Actor:
    """An actor who may do everything."""
    return COMMAND_LINE


@pytest.fixture
def noon() -> datetime:
    """A fixed time; tests travel from here."""
    return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


# Workers are given tests in rows. Tests of the running program mostly wait: they stand in a few long rows that begin
# first, and the others fill the time that they wait.
ROWS_OF_PROGRAMS = 2
ROW = 8


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark every test that meets the database: these run again on PostgreSQL. Put tests into rows."""
    for item in items:
        if {"db", "transactional_db"} & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("django_db"):
            item.add_marker("database")
    gc.collect()
    gc.freeze()  # what was loaded and collected stays: it need not be looked through again and again
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    into_rows(items)
    yield
    items.sort(key=lambda item: not starts_the_program(item))  # the others as pytest-django has ordered them
    return None


def into_rows(items: list[pytest.Item]) -> None:
    """Say of each test with which others one worker runs it, one after the other."""
    programs: dict[str, int] = {}
    rows: dict[tuple[str, bool, int], int] = {}
    alone: Counter[tuple[str, bool]] = Counter()
    for item in items:
        module = item.nodeid.partition("::")[0]
        empties = empties_the_database(item)
        if starts_the_program(item):
            together = module if shares_with_its_module(item) else item.nodeid
            row = f"programs {programs.setdefault(together, len(programs)) % ROWS_OF_PROGRAMS}"
        elif shares_with_its_module(item):
            row = str(rows.setdefault((module, empties, -1), len(rows)))
        else:
            row = str(rows.setdefault((module, empties, alone[module, empties] // ROW), len(rows)))
            alone[module, empties] += 1
        item.add_marker(pytest.mark.xdist_group(row))


def empties_the_database(item: pytest.Item) -> bool:
    """Whether a test's end is an empty database, without the rows of migrations: those come after the others."""
    mark = item.get_closest_marker("django_db")
    return "transactional_db" in getattr(item, "fixturenames", ()) or bool(mark and mark.kwargs.get("transaction"))


def starts_the_program(item: pytest.Item) -> bool:
    """Whether a test starts the program, or commands of it."""
    return item.get_closest_marker("slow") is not None or "program" in getattr(item, "fixturenames", ())


def shares_with_its_module(item: pytest.Item) -> bool:
    """Whether a test uses what is made once for all tests of its file."""
    found: Any = getattr(item, "_fixtureinfo", None)
    return found is not None and any(
        fixture.scope == "module" for fixtures in found.name2fixturedefs.values() for fixture in fixtures
    )
