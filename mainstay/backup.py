"""`mainstay self`: a backup of this installation while it runs, and restoring one."""

import argparse
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from django.utils.module_loading import import_string

from mainstay import __version__
from mainstay.foundation import environment as env
from mainstay.foundation.backups import database, note
from mainstay.foundation.backups.kept import COPIED, Files
from mainstay.foundation.clock import now
from mainstay.foundation.secrets import fingerprint
from mainstay.foundation.terminal import example, fail, say, say_json
from mainstay.wings import WINGS

USAGE, INCONCLUSIVE = 2, 3


class Refused(RuntimeError):
    """A restore is not begun; the message says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `backup` and `restore`."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    backup = acts.add_parser("backup", help="copy database and metrics into an empty directory; it may go on running")
    backup.add_argument("directory", metavar="DIR", type=Path, help="is made; it must be empty or not there yet")
    for name in (kept.folder for wing in WINGS for kept in wing.kept):
        backup.add_argument(
            f"--without-{name}", dest="without", action="append_const", const=name, help=f"leave {name} out"
        )
    backup.add_argument("--json", action="store_true", help="for a program")
    example(backup, ["mainstay self backup /backups/mainstay-$(date +%F)"])
    restore = acts.add_parser("restore", help="make this installation what a backup says; it must be stopped")
    restore.add_argument("directory", metavar="DIR", type=Path, help="made by mainstay self backup")
    restore.add_argument("--force", action="store_true", help="replace what is there; it is kept in HOME/backups")
    restore.add_argument(
        "--other-key", action="store_true", help="although the key does not fit: every stored secret is lost"
    )
    restore.add_argument("--json", action="store_true", help="for a program")
    example(restore, ["mainstay self restore /backups/mainstay-2026-08-01"])
    example(parser, ["mainstay self backup /backups/today", "mainstay self restore /backups/today"])


def run(args: argparse.Namespace) -> int:
    """Do what is asked; exit status 0 done, 1 not done, 2 wrong usage, 3 done but for files of wings."""
    environment = env.read()
    try:
        if args.act == "backup":
            return _backup(environment, args, now())
        return _restore(environment, args, now())
    except (database.CopyFailed, note.BadBackup, Refused) as error:
        return fail(str(error))


def _backup(environment: env.Environment, args: argparse.Namespace, at: datetime) -> int:
    folder: Path = args.directory.absolute()
    if database.is_empty(environment):
        return fail("there is nothing to back up: no database yet. The first start makes one: mainstay up")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            fail(f"{folder} is not an empty directory: give one that is empty or not there yet")
            return USAGE
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        return fail(f"{folder} cannot be used: {error.strerror}")
    beside, missing = {}, []
    try:
        database.copy_database(environment, folder)
        for files in _files():
            beside[files.name], failed = "left out, as asked", False
            if files.name not in (args.without or ()):
                beside[files.name], failed = files.back_up(environment, folder)
            missing += [beside[files.name]] if failed else []
        written = note.write(environment, folder, at, beside)
    except (OSError, database.CopyFailed) as error:
        _empty(folder, itself=made)
        return fail(f"nothing was backed up: {error}")
    if args.json:
        say_json({"directory": str(folder)} | asdict(written))
    else:
        size = sum(int(about["bytes"]) for about in written.files.values())
        held = [name for name, said in beside.items() if said == COPIED]
        say(f"{folder}: {' and '.join(['database', *held])}, {size / 1e6:.1f} MB.")
        for name, said in beside.items():
            if said != COPIED:
                say(f"{name.capitalize()} are not in it: {said}.")
        say("The key is not in it. Keep it apart from it: " + _where(environment))
    for why in missing:
        fail(why)
    return INCONCLUSIVE if missing else 0


def _files() -> list[Files]:
    return [Files(kept.folder, import_string(kept.copy)) for wing in WINGS for kept in wing.kept]


def _where(environment: env.Environment) -> str:
    return "MAINSTAY_SECRET_KEY" if environment.secret_key else str(environment.secret_key_file)


def _empty(folder: Path, *, itself: bool) -> None:
    for path in list(folder.iterdir()):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if itself:
        folder.rmdir()


def _restore(environment: env.Environment, args: argparse.Namespace, at: datetime) -> int:
    folder: Path = args.directory.absolute()
    given = note.read(folder)
    _fits(environment, given, other_key=args.other_key)
    environment.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(environment, at):
        finish_cut_off(environment)
        held = not database.is_empty(environment) or any(files.are_in(environment) for files in _files())
        if held and not args.force:
            raise Refused(
                f"{environment.home} holds data already. To replace it, add --force;"
                f" what is there is then kept in {environment.home / note.COPIES}"
            )
        _set_django_up()
        _known(given)
        aside = environment.home / note.COPIES / f"{database.BEFORE_RESTORE}{at:%Y%m%dT%H%M%SZ}"
        name = database.POSTGRESQL_FILE if database.is_postgresql(environment) else database.SQLITE_FILE
        put = {files: files.put_beside(environment, folder) for files in _files()}
        database.put_back(environment, folder / name, aside)
        for files, hindrance in put.items():
            if not hindrance:
                files.change(environment, aside)
        from mainstay.prepare import migrate

        migrate()
    kept = str(aside) if aside.exists() else ""
    if args.json:
        say_json({"restored": str(folder), "kept": kept} | asdict(given))
    else:
        say(f"Restored: as of {given.made_at}, made by Mainstay {given.mainstay}, now {__version__}.")
        if kept:
            say(f"What was there before: {kept}")
        say("Prove the journal: mainstay journal verify")
    for files, hindrance in put.items():
        if hindrance:
            fail(f"the {files.name} could not be put back: {hindrance}. The database was")
    return INCONCLUSIVE if any(put.values()) else 0


def _fits(environment: env.Environment, given: note.Note, *, other_key: bool) -> None:
    """Refuse a backup of the other database, and one whose secrets the key at hand cannot open."""
    if given.database != ("postgresql" if database.is_postgresql(environment) else "sqlite"):
        mend = "set DATABASE_URL to a PostgreSQL database" if given.database == "postgresql" else "unset DATABASE_URL"
        raise Refused(f"the backup is one of {given.database}: {mend}")
    key = note.key_of(environment)
    if other_key or not given.key or (key and fingerprint(key) == given.key):
        return
    problem = "another key is at hand" if key else "the key is missing"
    raise Refused(
        f"{problem}: put the file that fits to {environment.secret_key_file} (or set MAINSTAY_SECRET_KEY)."
        " If it is lost, add --other-key: stored secrets must then be entered again, and sessions end"
    )


@contextmanager
def _alone(environment: env.Environment, at: datetime) -> Iterator[None]:
    """Nothing may run on this home or this database meanwhile, nor start."""
    with (environment.home / "mainstay.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"Mainstay runs with {environment.home}: stop it first") from None
        alive = database.processes_alive(environment, at)
        if alive:
            raise Refused(f"{alive} processes of Mainstay use the database: stop them and wait {database.ALIVE_S} s")
        yield


def _set_django_up() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainstay.settings")
    import django

    django.setup()


def _known(given: note.Note) -> None:
    """Refuse what a newer version made: its tables are not those of this one."""
    from django.apps import apps
    from django.db.migrations.loader import MigrationLoader

    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    labels = {config.label for config in apps.get_app_configs() if not config.name.startswith("mainstay.")}
    newer = [each for each in given.migrations if each not in known and each.partition(".")[0] not in labels]
    if newer:
        raise Refused(
            f"the backup was made by Mainstay {given.mainstay}, which is newer than this one ({__version__}):"
            f" install that version, or a newer one (not known here: {newer[0]})"
        )


def finish_cut_off(environment: env.Environment) -> str:
    """Do what is left of a restore that was cut off; return what there is to say of it, or "".

    To be called before anything opens the database, or what wings keep beside it.
    """
    every = _files()
    if any(
        [
            database.finish_put_back(environment, environment.home / note.COPIES),
            *[files.finish(environment) for files in every],
        ]
    ):
        return "a restore was cut off; the rest of it is done now"
    left = [path for files in every for path in files.left(environment)]
    if not database.is_postgresql(environment):
        file = database.sqlite_file(environment)
        left.append(file.with_name(f"{file.name}{database.RESTORING}"))
    if found := [str(path) for path in left if path.exists()]:
        return (
            f"a restore was cut off before it was done: {' and '.join(found)}."
            " Run mainstay self restore again, or delete that"
        )
    return ""
