"""Run the shop: `python -m examples.shop --port 9001 --data DIR --heartbeat URL`."""

import argparse
import logging
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from examples.shop import __version__, logs
from examples.shop.api import Api
from examples.shop.application import Application
from examples.shop.database import Database
from examples.shop.faults import FaultError, Faults
from examples.shop.heartbeat import Heartbeat
from examples.shop.instruments import Instruments
from examples.shop.job import Job
from examples.shop.logs import fields
from examples.shop.operations import Operations
from examples.shop.seed import seed
from examples.shop.server import Server
from examples.shop.storefront import Storefront
from examples.shop.write_lock import WriteLock

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
    logs.start()
    instruments = Instruments()
    try:
        options.data.mkdir(parents=True, exist_ok=True)
        database = Database(
            options.data / DATABASE_NAME,
            lambda name, took_s: instruments.query_duration.observe(took_s, query=name),
        )
        seed(database)
        faults = Faults(WriteLock(database), options.faults)
        stopping = threading.Event()
        job = Job(database, options.heartbeat, faults, instruments, options.every)
        routes = (
            *Storefront(database, faults, instruments).routes(),
            *Api(database).routes(),
            *Operations(database, job, faults, instruments).routes(),
        )
        server = Server((options.host, options.port), Application(routes, faults, instruments, stopping), stopping)
    except (OSError, sqlite3.Error, FaultError) as problem:
        where = f"data in {options.data}, listening on {options.host}:{options.port}"
        log.critical("the shop cannot start (%s): %s", where, problem)
        return 1
    server.start()
    job.start()
    log.info("the shop is open", extra=fields(url=server.url, version=__version__, pid=os.getpid()))
    asked_to_stop.wait()
    log.info("the shop is closing")
    if not server.stop(STOP_WITHIN_S):
        log.warning("some answers took too long and were cut short")
    job.stop(STOP_WITHIN_S)
    database.close()
    log.info("the shop is closed")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description="A small web shop to watch.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=9001, help="port to listen on, 0 for any (default 9001)")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="directory of the database")
    parser.add_argument(
        "--heartbeat",
        type=_heartbeat,
        metavar="URL",
        default=os.environ.get(HEARTBEAT_VARIABLE, ""),
        help=f"ping URL of the job's heartbeat check (default: ${HEARTBEAT_VARIABLE}, or none)",
    )
    parser.add_argument(
        "--every", type=_interval_s, default=10.0, metavar="S", help="seconds between runs of the job (default 10)"
    )
    parser.add_argument("--faults", type=Path, metavar="FILE", help="keep faults there across restarts")
    return parser.parse_args(arguments)


def _heartbeat(url: str) -> Heartbeat:
    try:
        return Heartbeat(url or None)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _interval_s(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0.05 to 86400, not {text!r}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
