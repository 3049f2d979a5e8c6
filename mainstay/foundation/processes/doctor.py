"""`mainstay doctor`: checks this installation. Imports no Django before it has to ask the database.

It changes nothing: a directory, a key or a database that is not there yet is told of, not made.
"""

import argparse
import fcntl
import json
import os
import shutil
import socket
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mainstay.foundation import environment as env
from mainstay.foundation.backups.database import sqlite_uri
from mainstay.foundation.clock import now
from mainstay.foundation.processes.supervise import FILES_MOST

OLDEST_PYTHON = (3, 11)
BUILT_IN = 2026  # a clock before this year cannot be right
FREE_LEAST_BYTES = 1_000_000_000
FILES_LEAST = 1024
READ_THROUGH_MOST_BYTES = 2_000_000_000  # a larger database would take minutes
CLOCK_MAY_DIFFER_S = 60.0
OPTIONAL = {
    "restic": (("restic",), "file backups; install the package restic"),
    "chromium": (("chromium", "chromium-browser", "google-chrome", "chrome"), "browser checks; install chromium"),
}


class Verdict(StrEnum):
    """What a look came to."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"  # not there, and need not be; or nothing to say yet


_SIGNS = {Verdict.GOOD: "✓", Verdict.BAD: "✗", Verdict.OPEN: "–"}
_COLOURS = {Verdict.GOOD: "32", Verdict.BAD: "31", Verdict.OPEN: "2"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, how to mend it."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""

    def document(self) -> dict[str, str]:
        """Return it for programs."""
        return {"name": self.name, "verdict": self.verdict.value, "found": self.found, "mend": self.mend}


def good(name: str, found: str) -> Finding:
    """What is as it should be."""
    return Finding(name, Verdict.GOOD, found)


def bad(name: str, found: str, mend: str) -> Finding:
    """What must be mended."""
    return Finding(name, Verdict.BAD, found, mend)


def open_(name: str, found: str, mend: str = "") -> Finding:
    """What need not be there."""
    return Finding(name, Verdict.OPEN, found, mend)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--release", metavar="KIND:ID", help="have an item worked on again that was set aside: rule:12")
    parser.add_argument("--json", action="store_true", help="for a program")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "example:\n  mainstay doctor\n  mainstay doctor --json"


def run(args: argparse.Namespace) -> int:
    """Look at everything; exit status 1 when something must be mended."""
    if args.release:
        return _release(args.release)
    findings = list(examine())
    failed = any(finding.verdict is Verdict.BAD for finding in findings)
    if args.json:
        document = {"status": "bad" if failed else "good", "findings": [finding.document() for finding in findings]}
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return 1 if failed else 0
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for finding in findings:
        sign = _SIGNS[finding.verdict]
        shown = f"\x1b[{_COLOURS[finding.verdict]}m{sign}\x1b[0m" if coloured else sign
        mend = f" — {finding.mend}" if finding.mend else ""
        sys.stdout.write(f"{shown} {finding.name}: {finding.found}{mend}\n")
    return 1 if failed else 0


def _release(item: str) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainstay.settings")
    import django

    django.setup()
    from mainstay.foundation.accounts.actor import COMMAND_LINE
    from mainstay.foundation.clock import now
    from mainstay.foundation.processes import setaside

    kind, _, number = item.partition(":")
    if number.isdecimal() and setaside.release((kind, number), COMMAND_LINE, "released by a person", now()):
        sys.stdout.write(f"{item} is worked on again within a few seconds.\n")
        return 0
    sys.stderr.write(f"mainstay: {item} is not set aside. What is, stands on Now and in: mainstay status\n")
    return 1


def examine() -> Iterator[Finding]:
    """Look at one thing after the other. Without a usable environment, only at what does not need it."""
    yield python_version(sys.version_info[:3])
    try:
        environment = env.read()
    except env.BadEnvironment as error:
        for line in str(error).splitlines():
            name, _, found = line.partition(": ")
            yield bad(f"environment {name}", found, "set it right, or unset it")
    else:
        yield good("environment", "every variable is known and valid")
        looks: tuple[Callable[[env.Environment], Finding], ...] = (
            home,
            disk,
            key_file,
            files,
            *_PORTS,
            database,
            migrations,
            canary,
            recorded,
        )
        for look in looks:
            yield look(environment)
    yield clock(now())
    yield libcurl()
    yield ping()
    yield open_files()
    yield from programs()


def python_version(version: tuple[int, ...]) -> Finding:
    """Python must be new enough."""
    shown = ".".join(str(part) for part in version)
    if version[:2] >= OLDEST_PYTHON:
        return good("python", shown)
    return bad("python", shown, f"Mainstay needs {'.'.join(map(str, OLDEST_PYTHON))} or newer")


def home(environment: env.Environment) -> Finding:
    """All state lies in one directory, which must take files."""
    path = environment.home
    if not path.exists():
        parent = existing(path)
        if os.access(parent, os.W_OK | os.X_OK):
            return open_("home", f"{path} is not there yet", "the first start makes it: mainstay up")
        return bad(
            "home", f"{path} cannot be made: {parent} is not writable", "set MAINSTAY_HOME to a writable directory"
        )
    if not path.is_dir():
        return bad("home", f"{path} is not a directory", "set MAINSTAY_HOME to a directory")
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
    except OSError as error:
        return bad("home", f"{path} does not take files: {error.strerror}", f"make it writable: chown $USER {path}")
    open_to_others = [each for each in (path, *_files_in(path)) if stat.S_IMODE(each.stat().st_mode) & 0o077]
    if open_to_others:
        mode = stat.S_IMODE(open_to_others[0].stat().st_mode)
        return bad("home", f"others may read {open_to_others[0]} (mode {mode:o})", f"chmod -R go-rwx {path}")
    return good("home", str(path))


def _files_in(path: Path) -> list[Path]:
    """The files that hold secrets and people's data."""
    return [file for pattern in ("*.sqlite3*", "metrics") for file in sorted(path.glob(pattern))]


def disk(environment: env.Environment) -> Finding:
    """A full disk stops everything."""
    free = shutil.disk_usage(existing(environment.home)).free
    shown = f"{free / 1e9:.1f} GB free"
    if free >= FREE_LEAST_BYTES:
        return good("disk", shown)
    return bad("disk", shown, f"free some; {FREE_LEAST_BYTES / 1e9:.0f} GB is the least to go on with")


def key_file(environment: env.Environment) -> Finding:
    """Who can read the key can read every stored secret."""
    if environment.secret_key:
        return good("key", "MAINSTAY_SECRET_KEY is set")
    path = environment.secret_key_file
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return open_(
            "key", f"{path} is not there yet", "the first start makes it; back it up: it opens the stored secrets"
        )
    except (OSError, UnicodeDecodeError) as error:
        return bad("key", f"{path} cannot be read: {error}", f"chmod 600 {path}, and let the user of Mainstay own it")
    if mode & 0o077:
        return bad("key", f"others may read {path} (mode {mode:o})", f"chmod 600 {path}")
    if len(text) < 32:
        return bad("key", f"{path} holds only {len(text)} characters", "restore it from a backup")
    return good("key", f"{path}, readable by its owner only")


def files(environment: env.Environment) -> Finding:
    """Certificates and target lists must lie where only trusted users can write: they decide what probes accept."""
    for directory in environment.files:
        try:
            mode = directory.stat().st_mode
        except OSError as error:
            if directory == environment.home / "files":
                return open_("files", f"{directory} is not there", "only needed when settings name files")
            return bad("files", f"{directory}: {error.strerror}", "make it, or take it out of MAINSTAY_FILES")
        if not stat.S_ISDIR(mode):
            return bad("files", f"{directory} is not a directory", "name directories in MAINSTAY_FILES")
        if mode & 0o002 and not mode & stat.S_ISVTX:
            return bad("files", f"everyone may write to {directory}", f"chmod o-w {directory}")
    return good("files", ", ".join(map(str, environment.files)))


def port(environment: env.Environment, variable: str, number: int) -> Finding:
    """A port must be free, or be held by the Mainstay of this home."""
    name = f"port {number}"
    family = socket.AF_INET6 if ":" in environment.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((environment.host, number))
        except OSError as error:
            holder = running(environment.home)
            if holder:
                return good(name, f"used by this Mainstay (process {holder})")
            mend = f"stop what listens there, or set {variable} to another port"
            return bad(name, f"{environment.host}:{number}: {error.strerror}", mend)
    return good(name, f"free on {environment.host}")


def _web_port(environment: env.Environment) -> Finding:
    return port(environment, "MAINSTAY_PORT", environment.port)


def _monitor_port(environment: env.Environment) -> Finding:
    return port(environment, "MAINSTAY_MONITOR_PORT", environment.monitor_port)


_PORTS = (_web_port, _monitor_port)


def running(path: Path) -> str:
    """Return the process id of the `mainstay up` that holds this home, or ""."""
    try:
        with (path / "mainstay.lock").open(encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "?"
    except OSError:
        return ""
    return ""


def database(environment: env.Environment) -> Finding:
    """The database must answer; SQLite must write ahead, so that readers and the writer do not stop each other."""
    url = environment.database_url
    if url.startswith(("postgresql://", "postgres://")):
        return _postgresql(url)
    path = Path(unquote(urlsplit(url).path.removeprefix("/"))) if url else environment.database_file
    if not path.exists():
        return open_("database", f"{path} is not there yet", "the first start makes it: mainstay prepare")
    try:
        connection = sqlite3.connect(sqlite_uri(path, "rw"), uri=True, timeout=5)
        try:
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            small = path.stat().st_size < READ_THROUGH_MOST_BYTES
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if small else "ok"
        finally:
            connection.close()
    except sqlite3.Error as error:
        return bad(
            "database", f"{path}: {error}", "check who owns it and whether the disk is full; else restore a backup"
        )
    if sound != "ok":
        return bad("database", f"{path} is damaged: {sound}", "restore a backup")
    if mode != "wal":
        return bad(
            "database", f"{path} is in the journal mode {mode}", "keep it on a local disk, then run: mainstay prepare"
        )
    return good("database", f"{path}, SQLite {sqlite3.sqlite_version}, sound, write-ahead")


def _postgresql(url: str) -> Finding:
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version = connection.info.server_version // 10000
    except psycopg.Error as error:
        first = str(error).strip().partition("\n")[0]
        return bad("database", f"PostgreSQL does not answer: {first}", "check DATABASE_URL and the server")
    return good("database", f"PostgreSQL {version}")


def migrations(environment: env.Environment) -> Finding:
    """The tables must be those of this version."""
    prepared = environment.secret_key or environment.secret_key_file.exists()
    if (
        not environment.home.exists()
        or not prepared
        or not (environment.database_url or environment.database_file.exists())
    ):
        return open_("tables", "not made yet", "the first start makes them: mainstay prepare")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainstay.settings")
    import django
    from django.db import DatabaseError, connection
    from django.db.migrations.executor import MigrationExecutor

    django.setup()
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return bad("tables", f"the database refuses: {str(error).strip().partition(chr(10))[0]}", "see the line before")
    finally:
        connection.close()
    if missing:
        first = missing[0][0]
        return bad(
            "tables", f"{len(missing)} migrations are missing, first {first.app_label} {first.name}", "mainstay prepare"
        )
    return good("tables", "those of this version")


def canary(environment: env.Environment) -> Finding:
    """The key must be the one that the database was stored with."""
    name = "key and database"
    prepared = environment.secret_key or environment.secret_key_file.exists()
    if not prepared or not (environment.database_url or environment.database_file.exists()):
        return open_(name, "nothing is stored yet")
    from django.conf import settings
    from django.db import DatabaseError, connection

    from mainstay.foundation.processes import canary as stored

    try:
        fits = stored.fits(settings.SECRET_KEY)
    except DatabaseError:
        return open_(name, "cannot be told: see the lines before")
    finally:
        connection.close()
    if not fits:
        return bad(name, "the present key does not open this database", stored.WRONG_KEY.partition(": ")[2])
    return good(name, "the present key opens this database")


def recorded(environment: env.Environment) -> Finding:
    """What was recorded last must not lie in the future: then the clock was set back since."""
    looked = migrations(environment)
    if looked.verdict is not Verdict.GOOD:
        return open_("recorded times", "nothing to compare the clock with yet")
    from django.db import DatabaseError, connection

    from mainstay.foundation.clock import utc_text
    from mainstay.foundation.processes.clocks import newest_stored
    from mainstay.foundation.words.durations import write_span

    at = now()
    try:
        newest = newest_stored()
    except DatabaseError as error:
        return bad("recorded times", str(error).strip().partition("\n")[0], "see the lines before")
    finally:
        connection.close()
    if newest is None:
        return open_("recorded times", "nothing is recorded yet")
    shown = f"the newest is of {utc_text(newest)}"
    if (newest - at).total_seconds() > CLOCK_MAY_DIFFER_S:
        return bad(
            "recorded times", f"{shown}, {write_span(newest - at)} ahead of the clock", "set the clock; let NTP keep it"
        )
    return good("recorded times", shown)


def clock(now: datetime) -> Finding:
    """Pages, silences and certificates go by the clock."""
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year < BUILT_IN:
        return bad("clock", shown, "set the clock; let NTP keep it")
    with tempfile.NamedTemporaryFile() as file:
        drift_s = abs(Path(file.name).stat().st_mtime - now.timestamp())
    if drift_s > CLOCK_MAY_DIFFER_S:
        return bad("clock", f"{shown}, but files are stamped {drift_s:.0f} s off", "set the clock; let NTP keep it")
    return good("clock", shown)


def libcurl() -> Finding:
    """Without a resolver of its own, one slow name server would hold up every check."""
    try:
        import pycurl
    except ImportError as error:
        return bad("libcurl", f"pycurl cannot be loaded: {error}", "make setup")
    info = pycurl.version_info()
    features = {name for name, bit in (("AsynchDNS", 1 << 7), ("HTTP2", 1 << 16), ("SSL", 1 << 2)) if info[4] & bit}
    missing = sorted({"AsynchDNS", "SSL"} - features)
    if missing:
        return bad("libcurl", f"{info[1]} without {' and '.join(missing)}", "install the wheel of pycurl: make setup")
    return good("libcurl", f"{info[1]} with {', '.join(sorted(features))}")


def ping() -> Finding:
    """Checks of kind icmp need one of two sorts of sockets."""
    for kind, name in ((socket.SOCK_DGRAM, "ping sockets"), (socket.SOCK_RAW, "raw sockets")):
        try:
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
        except OSError:
            continue
        return good("ping", f"{name} may be opened")
    group = os.getgid()
    return open_(
        "ping",
        "checks of kind icmp cannot work here",
        f'let them: sysctl -w net.ipv4.ping_group_range="{group} {group}"',
    )


def open_files() -> Finding:
    """Every probe under way holds a socket."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # the processes raise the soft limit to it themselves
    limit = FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, FILES_MOST)
    if limit >= FILES_LEAST:
        return good("open files", f"at most {limit}")
    return bad(
        "open files",
        f"at most {limit}: only {limit // 2} probes can run at once",
        f"raise the hard limit to {FILES_LEAST} or more: ulimit -Hn, systemd's LimitNOFILE, Docker's --ulimit nofile",
    )


def programs() -> Iterator[Finding]:
    """Programs that some features use when they are there."""
    for name, (commands, use) in OPTIONAL.items():
        found = next((path for command in commands if (path := shutil.which(command))), None)
        yield good(name, found) if found else open_(name, "not found", f"only needed for {use}")


def existing(path: Path) -> Path:
    """Return `path` or the nearest directory above it that is there."""
    return next(parent for parent in (path, *path.parents) if parent.exists())
