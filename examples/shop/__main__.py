"""Run the shop: `python -m examples.shop --port 9001 --data DIR --heartbeat URL`."""

import argparse
import logging
import os
import re
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from examples.shop import __version__, catalogue, logs
from examples.shop.database import Database
from examples.shop.faults import Faults
from examples.shop.job import Job
from examples.shop.logs import fields
from examples.shop.server import Server
from examples.shop.shop import Shop

DATABASE_NAME = "shop.sqlite3"
HEARTBEAT_VARIABLE = "SHOP_HEARTBEAT_URL"
STOP_WITHIN_S = 8.0

log = logging.getLogger("shop")


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit status: 0 stopped, 1 could not start, 2 wrong usage."""
    options = _parse(arguments)
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    logs.start(access=options.access_log)
    try:
        options.data.mkdir(parents=True, exist_ok=True)
        database = Database(options.data / DATABASE_NAME)
        catalogue.seed(database)
        faults = Faults(database)
        job = Job(database, options.heartbeat, faults, options.every)
        shop = Shop(database, job, faults)
        server = Server((options.host, options.port), shop.respond)
    except (OSError, sqlite3.Error) as problem:
        where = f"data in {options.data}, listening on {options.host}:{options.port}"
        log.critical("the shop cannot start (%s): %s", where, problem)
        return 1
    server.start()
    job.start()
    log.info("the shop is open", extra=fields(url=server.url, version=__version__, pid=os.getpid()))
    asked_to_stop.wait()
    shop.stopping.set()
    if not server.stop(STOP_WITHIN_S):
        log.warning("some answers took too long and were cut short")
    job.stop(STOP_WITHIN_S)
    database.close()
    log.info("the shop is closed")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description="A small web shop to watch.")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, default=9001, help="port to listen on, 0 for any (default 9001)")
    add("--data", type=Path, required=True, metavar="DIR", help="directory of the database")
    add(
        "--heartbeat",
        metavar="URL",
        default=os.environ.get(HEARTBEAT_VARIABLE, ""),
        help=f"ping URL of the job's heartbeat check (default: ${HEARTBEAT_VARIABLE}, or none)",
    )
    add("--every", type=float, default=10.0, metavar="S", help="seconds between runs of the job (default 10)")
    add("--access-log", action="store_true", help="log each request, not only those that failed")
    options = parser.parse_args(arguments)
    if not 0.05 <= options.every <= 86_400:
        parser.error("--every must be from 0.05 to 86400 seconds")
    if options.heartbeat and not re.match(r"https?://[^/]", options.heartbeat):
        parser.error(f"a heartbeat needs a URL that begins with http:// or https://, not {options.heartbeat!r}")
    return options


if __name__ == "__main__":
    sys.exit(main())
