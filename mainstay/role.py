"""`mainstay monitor` and `mainstay worker`: the cycles of all wings, each in the process that its wing names.

The monitor probes, scrapes and evaluates; the worker sends pages, reminds, seals and clears away. What belongs to no
wing stands here.
"""

import argparse
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from mainstay.foundation import environment as env
from mainstay.foundation.dotted import named
from mainstay.foundation.processes import disk
from mainstay.foundation.processes.outage import words
from mainstay.foundation.processes.run import Cycle, Ending, Runner, Work
from mainstay.foundation.processes.supervise import raise_open_files
from mainstay.wings import WINGS

log = logging.getLogger("mainstay.processes")


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """These processes take their settings from the environment."""


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    role: str = args.command
    raise_open_files()
    environment = env.read()
    works = works_of(role, environment)
    runner = Runner(
        role,
        [cycle for work in works for cycle in work.cycles],
        extra_lag=lambda: max(work.lag_s() for work in works),
        waiting=lambda: max(work.waiting_s() for work in works),
        others=lambda: chain.from_iterable(work.turns() for work in works),
        facts=lambda: _merged(work.facts() for work in works),
    )
    runner.stop_on_signals()
    for work in works:
        work.prepare()
    runner.start()
    for work in works:
        work.start(works)
    log.info("the %s is at work", role)
    runner.wait()
    end(works, runner.process_id)
    runner.goodbye()
    return 0


def works_of(role: str, environment: env.Environment) -> list[Work]:
    """Return the work of every wing in the process of this role, that of the lowest first."""
    works = [Work([_disk(environment)])] if role == "worker" else []
    for wing in WINGS:
        if role in wing.cycles:
            works.append(named(wing, "cycles", wing.cycles[role])(environment, works))
    return works


def load() -> None:
    """Load what all roles need."""
    for wing in WINGS:
        for path in wing.cycles.values():
            named(wing, "cycles", path)


def end(works: Sequence[Work], process: int) -> None:
    """Stop, the highest first; write what is left. What the database refuses now stops nothing else."""
    for work in reversed(works):
        work.stop()
    for what, write in _endings(works, process):
        try:
            write()
        except DatabaseError as error:
            log.warning("%s: not stored on stopping: the database %s", what, words(error))
            connection.close()


def _endings(works: Sequence[Work], process: int) -> Iterator[Ending]:
    for work in works:
        yield from work.endings()
    for work in reversed(works):
        yield from work.leave(process)


def _merged(facts: Iterable[Mapping[str, object]]) -> Mapping[str, object]:
    return {name: value for some in facts for name, value in some.items()}


def _disk(environment: env.Environment) -> Cycle:
    database = settings.DATABASES["default"]
    places = [environment.home, *([Path(database["NAME"])] if database["ENGINE"].endswith("sqlite3") else [])]

    def look_at_disk(now: datetime, _process: int) -> None:
        disk.look(places, now)

    return Cycle("disk", disk.LOOK_EVERY_S, look_at_disk)
