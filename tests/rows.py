"""Which tests run in which order beside each other. A worker gets a row of tests, and when that ends, the next.

Tests of the running program mostly wait: they stand in few long rows that begin first, and the others fill the time.
(pytest-xdist's own groups need a name in a test's id, where pytest 9 no longer looks.)
"""

import json
import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

OF_PROGRAMS = 3  # rows at a time in which the program runs
LENGTH = 8
MADE_AGAIN = {"shared_desk"}  # fixtures of modules that are cheap enough to be made in every row


def arrange(items: list[pytest.Item]) -> None:
    """In a worker: put the tests of the program first and tell the controller of the rows."""
    items.sort(key=lambda item: not starts_the_program(item))  # the others as pytest-django has ordered them
    file = _file()
    written = file.with_name(f"{file.name}-{os.environ['PYTEST_XDIST_WORKER']}")
    written.write_text(json.dumps(rows(items)))
    written.rename(file)


class Rows(LoadScopeScheduling):
    """In the controller: gives out rows, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    @cached_property
    def rows(self) -> dict[str, str]:
        """The row of each test, as the workers found."""
        found: dict[str, str] = json.loads(_file().read_text())
        return found

    def _split_scope(self, nodeid: str) -> str:
        return self.rows[nodeid]


def rows(items: list[pytest.Item]) -> dict[str, str]:
    """Return for the id of each test its row."""
    programs: dict[str, int] = {}
    alone: Counter[tuple[str, bool]] = Counter()
    found = {}
    for item in items:
        module, empties = item.nodeid.partition("::")[0], empties_the_database(item)
        if starts_the_program(item):
            together = module if shares_with_its_module(item) else item.nodeid
            row = f"programs {programs.setdefault(together, len(programs)) % OF_PROGRAMS}"
        elif shares_with_its_module(item):
            row = f"{module} {empties}"
        else:
            row = f"{module} {empties} {alone[module, empties] // LENGTH}"
            alone[module, empties] += 1
        found[item.nodeid] = row
    return found


def starts_the_program(item: pytest.Item) -> bool:
    """Whether a test starts the program, or commands of it."""
    return item.get_closest_marker("slow") is not None or "program" in getattr(item, "fixturenames", ())


def empties_the_database(item: pytest.Item) -> bool:
    """Whether a test's end is an empty database, without the rows of migrations: those come after the others."""
    mark = item.get_closest_marker("django_db")
    return "transactional_db" in getattr(item, "fixturenames", ()) or bool(mark and mark.kwargs.get("transaction"))


def shares_with_its_module(item: pytest.Item) -> bool:
    """Whether a test uses what is made once for all tests of its file."""
    found: Any = getattr(item, "_fixtureinfo", None)
    return found is not None and any(
        fixture.scope == "module" and fixture.argname not in MADE_AGAIN
        for fixtures in found.name2fixturedefs.values()
        for fixture in fixtures
    )


def _file() -> Path:
    return Path(os.environ["MAINSTAY_HOME"]).with_name("rows.json")
