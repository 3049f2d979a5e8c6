"""Fixtures of all tests. Which database they run on: `tests/environment.py`."""

import gc
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
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
from tests import faults, rows, tables

# How long an example takes, and to make it, depends on what else the machine does.
PATIENT = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("full", **PATIENT)
hypothesis.settings.register_profile("quick", max_examples=20, **PATIENT)
hypothesis.settings.load_profile("full")

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def pytest_configure(config: pytest.Config) -> None:
    faults.register(config)


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, from Debian: its shell without windows where it is installed, which takes a third of the processor."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium-headless-shell")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def me() -> Actor:
    """An actor who may do everything."""
    return COMMAND_LINE


@pytest.fixture
def noon() -> datetime:
    """A fixed time; tests travel from here."""
    return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Let one worker compile the tests where nothing is compiled yet; the others read what it has written."""
    if "PYTEST_XDIST_WORKER" not in os.environ or _compiled():
        return (yield)
    with tables.made_by_one():
        if not _compiled():
            return (yield)
    return (yield)


def _compiled() -> bool:
    """Whether the tests that are collected last have been compiled once."""
    return any((Path(__file__).parent / "tests" / "__pycache__").glob("test_*.pyc"))


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark every test that meets the database: these run again on PostgreSQL."""
    for item in items:
        if {"db", "transactional_db"} & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("django_db"):
            item.add_marker("database")
    faults.tell(items)
    gc.collect()
    gc.freeze()  # what was loaded and collected stays: it need not be looked through again and again
    gc.enable()
    yield
    if "PYTEST_XDIST_WORKER" in os.environ:
        rows.arrange(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> rows.Rows:
    """Give out tests in rows."""
    return rows.Rows(config, log)
