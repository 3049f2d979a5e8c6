"""`mainstay worker`: what the wings do again and again beside the monitor: send pages, remind, seal, clear away.

The ground's own part of it, which belongs to no wing, stands here.
"""

import argparse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string

from mainstay.foundation import environment as env
from mainstay.foundation.processes import disk
from mainstay.foundation.processes.run import Cycle, Runner, Work
from mainstay.wings import WINGS


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay worker` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    environment = env.read()
    works: list[Work] = [import_string(wing.cycles["worker"])(environment) for wing in WINGS if "worker" in wing.cycles]
    runner = Runner("worker", [*_own(environment), *(cycle for work in works for cycle in work.cycles)])
    runner.stop_on_signals()
    runner.start()
    runner.wait()
    for work in works:
        work.stop()
    runner.goodbye()
    return 0


def _own(environment: env.Environment) -> Iterator[Cycle]:
    database = settings.DATABASES["default"]
    places = [environment.home, *([Path(database["NAME"])] if database["ENGINE"].endswith("sqlite3") else [])]

    def look_at_disk(now: datetime, _process: int) -> None:
        disk.look(places, now)

    yield Cycle("disk", disk.LOOK_EVERY_S, look_at_disk)
