"""`mainstay web`: serves pages, API and pings with uvicorn, in one process."""

import argparse

import uvicorn

from mainstay.foundation import environment as env
from mainstay.foundation.processes.run import Runner
from mainstay.foundation.processes.supervise import need_port

GRACE_S = 3


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay web` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    environment = env.read()
    need_port(environment.host, environment.port, "MAINSTAY_PORT")  # before it registers as one that serves
    runner = Runner("web", cycles=[])
    runner.start(wait=False)  # while the database is away, it answers 503: senders of pings then try again
    config = uvicorn.Config(
        "mainstay.web.asgi:application",
        host=environment.host,
        port=environment.port,
        lifespan="on",
        ws="none",  # nothing here speaks it; its library stays unloaded
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64 * 1024,
    )
    server = uvicorn.Server(config)
    try:
        server.run()  # installs its own handlers of SIGTERM and SIGINT
    finally:
        runner.stop()
        runner.goodbye()
    return 0 if server.started else 1
