"""The table of faults and the tests that stand for its rows."""

from pathlib import Path

import pytest

from tests.faults import LATER, Passed, main, missing, rows


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


def test_a_row_needs_a_test_that_passed_in_one_of_the_runs(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "output" / "faults.txt"
    first, second = Passed(file), Passed(file)
    first.pytest_runtest_logreport(report("passed", "C1"))
    first.pytest_runtest_logreport(report("skipped", "C2"))
    first.pytest_runtest_logreport(report("failed", "C10"))
    first.pytest_runtest_logreport(report("passed", "C10", when="setup"))
    first.pytest_sessionfinish()
    assert missing(folder, file) == ["C2", "C10"]
    assert main(str(folder), str(file)) == 1
    second.pytest_runtest_logreport(report("passed", "C10", "C2"))
    second.pytest_sessionfinish()
    assert main(str(folder), str(file)) == 0


def test_a_folder_without_tables_and_a_run_that_wrote_nothing_are_no_success(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no table of faults"):
        missing(tmp_path / "empty", tmp_path)
    with pytest.raises(FileNotFoundError):
        missing(folder, tmp_path / "nothing")


def test_rows_for_later_are_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "forms.md").write_text("".join(f"| {row} | x |\n" for row in LATER))
    assert rows(tmp_path) == set()
