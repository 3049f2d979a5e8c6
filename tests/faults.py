"""Which rows of a table of faults (Markdown, `| C1 | input | right | …`) have a test that passed.

A test says which it stands for: `@pytest.mark.fault("C1")`. Each run appends the rows of its passed tests to the file
that `FAULTS` names; `python -m tests.faults FOLDER FILE` compares it with the tables of a folder.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

LATER = frozenset({"D14"})
"""Rows whose look belongs to what is built next."""
_ROW = re.compile(r"^\| ([A-Z]\d+) \|", re.MULTILINE)


def rows(folder: Path) -> set[str]:
    """The rows of all tables in the folder."""
    return {row for table in folder.glob("*.md") for row in _ROW.findall(table.read_text(encoding="utf-8"))} - LATER


def missing(folder: Path, file: Path) -> list[str]:
    """The rows of which no test passed. Raises ValueError when there are no rows, OSError when no test passed."""
    wanted = rows(folder)
    if not wanted:
        raise ValueError(f"{folder} has no table of faults")
    passed = set(file.read_text(encoding="utf-8").split())
    return sorted(wanted - passed, key=lambda row: (row[0], int(row[1:])))


class Passed:
    """In the controller: collects which rows a passed test stands for, and appends them to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._rows |= {str(value) for name, value in report.user_properties if name == "fault"}

    def pytest_sessionfinish(self) -> None:
        self._file.parent.mkdir(exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.writelines(f"{row}\n" for row in sorted(self._rows))


def tell(items: Iterable[pytest.Item]) -> None:
    """Let the reports of tests name the rows that they stand for."""
    for item in items:
        item.user_properties += [("fault", row) for mark in item.iter_markers("fault") for row in mark.args]


def register(config: pytest.Config) -> None:
    file = os.environ.get("FAULTS")
    if file and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(Passed(Path(file)), "faults")


def main(folder: str, file: str) -> int:
    found = missing(Path(folder), Path(file))
    print(f"rows of faults without a test that passed: {', '.join(found) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
