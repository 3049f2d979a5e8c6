"""The table of faults and the tests that stand for its rows."""

from pathlib import Path

import pytest

from tests.faults import Faults, rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checks.md").write_text(
        "# Checks\n\n| # | input |\n|---|---|\n| C1 | a |\n| C10 | b |\n| C2 | see C9 |\n"
    )
    return tmp_path


def report(outcome: str, *names: str, when: str = "call") -> pytest.TestReport:
    properties = [("fault", name) for name in names]
    return pytest.TestReport("a::b", ("a", 1, "b"), {}, outcome, None, when, user_properties=properties)  # type: ignore[arg-type]


def test_rows_are_those_of_the_tables(folder: Path) -> None:
    assert rows(folder) == {"C1", "C2", "C10"}


def test_a_row_needs_a_test_that_passed(folder: Path) -> None:
    faults = Faults(folder)
    faults.pytest_runtest_logreport(report("passed", "C1"))
    faults.pytest_runtest_logreport(report("skipped", "C2"))
    faults.pytest_runtest_logreport(report("failed", "C10"))
    faults.pytest_runtest_logreport(report("passed", "C10", when="setup"))
    assert faults.missing() == ["C2", "C10"]
