"""`mainstay web`: serves pages, API and pings with uvicorn, in one process."""

import argparse
import faulthandler
import importlib

from mainstay.foundation import environment as env
from mainstay.foundation.http.connections import Server
from mainstay.foundation.processes.run import Runner
from mainstay.foundation.processes.supervise import need_port
from mainstay.wings import WINGS


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay web` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    faulthandler.enable()  # into the log; it has no file of what it works on, as those with cycles have
    environment = env.read()
    need_port(environment.host, environment.port, "MAINSTAY_PORT")  # before it registers as one that serves
    server: Server | None = None  # until then nothing of it can hang
    runner = Runner(
        "web",
        cycles=[],
        extra_lag=lambda: server.lag_s() if server else 0.0,
        others=lambda: asgi.application.turns() if server else (),
        facts=lambda: {
            one.fact: bool(server and server.started and asgi.application.takes(one.prefix))
            for wing in WINGS
            for one in wing.beside
        },
    )
    runner.start(wait=False)  # while the database is away, it answers 503: senders of pings then try again
    asgi = importlib.import_module("mainstay.desk.asgi")  # it needs Django set up, which this module does not
    server = Server(asgi.application, environment.host, environment.port, asgi.limits, lifespan=True)
    try:
        server.run()  # installs its own handlers of SIGTERM and SIGINT
    finally:
        runner.stop()
        runner.goodbye()
    return 0 if server.started else 1
