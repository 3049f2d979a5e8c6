"""The note in a backup: what made it, what lies in it, which key fits. It never holds the key."""

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mainstay import __version__
from mainstay.foundation.backups import database
from mainstay.foundation.environment import Environment
from mainstay.foundation.secrets import fingerprint

FILE = "mainstay-backup.json"
FORMAT = 1
KEPT = 3  # copies that were made before a migration
COPIES = "backups"
_NOTE_MOST_BYTES = 4 << 20
_NAME = re.compile(r"database\.(sqlite3|dump)|[a-z]+/[a-z0-9][a-z0-9.-]*")


class BadBackup(ValueError):
    """A directory is no backup that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a backup says of itself.

    Attributes:
        mainstay: the version that made it.
        made_at: ISO 8601, UTC.
        database: "sqlite" or "postgresql".
        migrations: those that its tables have, as `app.name`.
        key: fingerprint of the secret key that opens its secrets.
        beside: "copied", or why not, by the name of what wings keep beside the database.
        files: size and SHA-256 of each file, by its path in the directory.
    """

    mainstay: str
    made_at: str
    database: str
    migrations: Sequence[str]
    key: str
    beside: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]
    format: int = FORMAT


def key_of(environment: Environment) -> str:
    """Return the key at hand, or "" when there is none: none is made here."""
    if environment.secret_key:
        return environment.secret_key
    try:
        return environment.secret_key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def write(environment: Environment, folder: Path, now: datetime, beside: Mapping[str, str]) -> Note:
    """Describe the files of a backup and write the note, at last: without one it is none."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    key = key_of(environment)
    note = Note(
        mainstay=__version__,
        made_at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        database="postgresql" if database.is_postgresql(environment) else "sqlite",
        migrations=database.migrations(environment),
        key=fingerprint(key) if key else "",
        beside=beside,
        files={name: _described(folder / name) for name in names if name != FILE},
    )
    draft = folder / f"{FILE}.draft"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(note), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / FILE)
    return note


def read(folder: Path) -> Note:
    """Return the note of a backup whose files are all there and as they were.

    Raises:
        BadBackup: it is none, or not whole, or was changed.
    """
    path = folder / FILE
    try:
        if path.stat().st_size > _NOTE_MOST_BYTES:
            raise BadBackup(f"{path} is not a note of Mainstay: it is too large")
        given = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BadBackup(f"{folder} is no backup of Mainstay, or one that was not finished: it has no {FILE}") from None
    except (OSError, ValueError) as error:
        raise BadBackup(f"{path} cannot be read: {error}") from None
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise BadBackup(f"{path}: this version reads format {FORMAT} only. Use the version of Mainstay that made it")
    try:
        note = Note(**given)
        files = {str(name): dict(about) for name, about in note.files.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise BadBackup(f"{path} is damaged: {error}") from None
    if not any(name.startswith("database.") for name in files):
        raise BadBackup(f"{path} names no database")
    for name, about in sorted(files.items()):
        _verify(folder, name, about)
    return note


def _verify(folder: Path, name: str, about: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise BadBackup(f"{folder / FILE} names a file that no backup has: {name[:100]!r}")
    path = folder / name
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise BadBackup(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise BadBackup(f"{path} is no regular file")
    if _described(path) != about:
        raise BadBackup(f"{path} is damaged: it is not the file of which {FILE} has the SHA-256. Take another backup")


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def before_migration(environment: Environment, now: datetime) -> Path:
    """Copy the database before its tables change; keep the last few of these copies; return where it is.

    Raises:
        database.CopyFailed: there is no copy.
    """
    folder = environment.home / COPIES / f"before-{__version__}-{now:%Y%m%dT%H%M%SZ}"
    try:
        folder.mkdir(parents=True, mode=0o700)
        database.copy_database(environment, folder)
        write(environment, folder, now, {})
    except (OSError, database.CopyFailed) as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise database.CopyFailed(f"{folder} cannot be written: {error.strerror or error}") from None
        raise
    made = sorted(folder.parent.glob("before-[0-9]*Z"), key=lambda path: path.stat().st_mtime)
    for old in [path for path in made if path != folder][: -(KEPT - 1)]:
        shutil.rmtree(old, ignore_errors=True)
    return folder
