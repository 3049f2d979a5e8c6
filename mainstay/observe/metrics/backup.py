"""The metrics of a backup: a consistent copy of history, made by the monitor that has it open."""

import secrets
import shutil
import time
from pathlib import Path
from urllib.parse import urlencode

import orjson

from mainstay.foundation.backups.kept import COPIED, NotCopied
from mainstay.foundation.environment import Environment
from mainstay.observe.metrics.client import Client, MetricsAway, Server
from mainstay.observe.metrics.servers import monitor

FOLDER = "metrics"
COPY_PATH = "/copy"  # of the monitor's port; the web process passes nothing on to it
COPY_MOST_S = 6 * 3600.0
OPENING_MOST_S = 60.0  # that a monitor may have the files open without answering
HISTORY = "history.duckdb"


def copied_name(token: str) -> str:
    """Return the name under which the monitor leaves a copy in its folder."""
    return f"copy-{token}.duckdb"


def copy_metrics(environment: Environment, key: str, folder: Path) -> str:
    """Copy the embedded metrics below `folder`; return "copied", or why there is nothing to copy.

    Raises:
        NotCopied: there is something, and it was not copied.
    """
    if environment.metrics_url:
        return "METRICS_URL is set: that server has backups of its own"
    source = environment.home / FOLDER
    if not (source / HISTORY).exists():
        return "there are none in this home"
    target = folder / FOLDER
    try:
        target.mkdir(mode=0o700)
        give_up = time.monotonic() + OPENING_MOST_S
        while not (_by_the_monitor(environment, key, source, target) or _while_nobody_writes(source, target)):
            # A monitor that has just started opens the files first and answers then; one that ends, the other way.
            if time.monotonic() > give_up:
                raise NotCopied(
                    f"a monitor has had the metrics open for {OPENING_MOST_S:.0f} s and does not answer at port"
                    f" {environment.monitor_port}: set MAINSTAY_MONITOR_PORT as it has it, or stop it"
                )
            time.sleep(0.2)
    except OSError as error:
        raise NotCopied(f"the metrics cannot be copied: {error.strerror or error}") from None
    return COPIED


def _by_the_monitor(environment: Environment, key: str, source: Path, target: Path) -> bool:
    """Let the monitor of this home write a copy, and take it; False when no monitor has the store open."""
    token = secrets.token_hex(8)
    asked = monitor(environment, key)
    client = Client(Server(asked.url, asked.headers, COPY_MOST_S))
    left = source / copied_name(token)
    try:
        answer = client.forward(COPY_PATH, "", urlencode({"token": token}).encode())
    except MetricsAway:
        return False
    try:
        if answer.status == 503:
            return False
        if answer.status != 200:
            raise NotCopied(f"the monitor did not copy the metrics: {_said(answer.body)}")
        if not left.exists():
            raise NotCopied(
                f"the monitor at port {environment.monitor_port} is not that of this home: set MAINSTAY_MONITOR_PORT"
            )
        shutil.move(left, target / HISTORY)
    finally:
        left.unlink(missing_ok=True)
    return True


def _said(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])[:300]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "it answered something else"


def _while_nobody_writes(source: Path, target: Path) -> bool:
    """Copy the files as they are; False when a monitor has them open.

    Meanwhile the database is open for reading, so no monitor can begin to write.
    """
    import duckdb

    try:
        holding = duckdb.connect(str(source / HISTORY), read_only=True)
    except duckdb.Error as error:
        if "lock" not in str(error).lower():
            raise NotCopied(f"{source / HISTORY} cannot be opened: {str(error).partition(chr(10))[0]}") from None
        return False
    try:
        for path in sorted(source.iterdir()):
            if path.name == HISTORY or path.name == f"{HISTORY}.wal" or path.name.startswith("wal-"):
                shutil.copyfile(path, target / path.name)
    finally:
        holding.close()
    return True
