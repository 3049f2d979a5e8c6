"""Which rows of a table of faults (Markdown, `| C1 | input | right | …`) have a test that ran.

A test says which it stands for: `@pytest.mark.fault("C1")`.
`FAULTS` names the folder with the tables; without it nothing is asked.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

LATER = frozenset({"D14"})
"""Rows whose look belongs to what is built next."""
_ROW = re.compile(r"^\| ([A-Z]\d+) \|", re.MULTILINE)


def rows(folder: Path) -> set[str]:
    """The rows of all tables in the folder."""
    return {row for table in folder.glob("*.md") for row in _ROW.findall(table.read_text(encoding="utf-8"))} - LATER


class Faults:
    """In the controller: collects which rows a passed test stands for, and fails the run where some have none."""

    def __init__(self, folder: Path) -> None:
        self._wanted = rows(folder)
        self._passed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._passed |= {str(value) for name, value in report.user_properties if name == "fault"}

    def missing(self) -> list[str]:
        return sorted(self._wanted - self._passed, key=lambda row: (row[0], int(row[1:])))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and (not self._wanted or self.missing()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        missing = ", ".join(self.missing()) or "none"
        terminalreporter.write_line(f"{len(self._wanted)} rows of faults; without a test that passed: {missing}")


def tell(items: Iterable[pytest.Item]) -> None:
    """Let the reports of tests name the rows that they stand for."""
    for item in items:
        item.user_properties += [("fault", row) for mark in item.iter_markers("fault") for row in mark.args]


def register(config: pytest.Config) -> None:
    folder = os.environ.get("FAULTS")
    if folder and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(Faults(Path(folder)), "faults")
