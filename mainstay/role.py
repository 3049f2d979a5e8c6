"""`mainstay monitor` and `mainstay worker`: the cycles of all wings, each in the process that its wing names.

The monitor probes, scrapes and evaluates; the worker sends pages, reminds, seals and clears away. What belongs to no
wing stands here.
"""

import argparse
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError, connection

from mainstay.foundation import environment as env
from mainstay.foundation.dotted import named
from mainstay.foundation.processes import disk
from mainstay.foundation.processes.outage import words
from mainstay.foundation.processes.run import Cycle, Ending, Runner, Work
from mainstay.foundation.processes.supervise import raise_open_files
from mainstay.foundation.store import json_text
from mainstay.wings import WINGS

log = logging.getLogger("mainstay.processes")
T = TypeVar("T")


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """These processes take their settings from the environment."""


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    role: str = args.command
    raise_open_files()
    environment = env.read()
    works = works_of(role, environment)
    each = Each(works)
    runner = Runner(
        role,
        [cycle for work in works for cycle in work.cycles],
        extra_lag=lambda: max(each.tell("how late it is", lambda work: work.lag_s()), default=0.0),
        waiting=lambda: max(each.tell("for how long work waits", lambda work: work.waiting_s()), default=0.0),
        others=lambda: chain.from_iterable(each.tell("its turns", lambda work: list(work.turns()))),
        facts=lambda: _merged(each.tell("its facts", _writable)),
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


class Each:
    """Asks the work of every wing, in the beat and for the watchdog. One that fails is left out, which is said once.

    Without this, a process in which all else works would count as dead, and others would take its checks over.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        self._works = works
        self._failing: set[tuple[str, int]] = set()

    def tell(self, what: str, ask: Callable[[Work], T]) -> list[T]:
        """Return what each answers that can."""
        found = []
        for number, work in enumerate(self._works):
            try:
                found.append(ask(work))
            except Exception:
                if (what, number) not in self._failing:
                    log.exception("%s cannot tell %s", type(work).__name__, what)
                self._failing.add((what, number))
            else:
                self._failing.discard((what, number))
        return found


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
    """Stop, the highest first; write what is left. What fails now stops nothing else."""
    for work in reversed(works):
        try:
            work.stop()
        except Exception:
            log.exception("%s cannot be stopped", type(work).__name__)
    for what, write in _endings(works, process):
        try:
            write()
        except DatabaseError as error:
            log.warning("%s: not stored on stopping: the database %s", what, words(error))
            connection.close()
        except Exception:
            log.exception("%s: not stored on stopping", what)


def _endings(works: Sequence[Work], process: int) -> Iterator[Ending]:
    for work in works:
        yield from work.endings()
    for work in reversed(works):
        yield from work.leave(process)


def _writable(work: Work) -> Mapping[str, object]:
    """Return what a beat carries of a wing, once it is sure that it can be written."""
    found = dict(work.facts())
    json_text(found)
    return found


def _merged(facts: Iterable[Mapping[str, object]]) -> Mapping[str, object]:
    return {name: value for some in facts for name, value in some.items()}


def _disk(environment: env.Environment) -> Cycle:
    database = settings.DATABASES["default"]
    places = [environment.home, *([Path(database["NAME"])] if database["ENGINE"].endswith("sqlite3") else [])]

    def look_at_disk(now: datetime, _process: int) -> None:
        disk.look(places, now)

    return Cycle("disk", disk.LOOK_EVERY_S, look_at_disk)
