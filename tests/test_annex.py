"""A new wing is its own folder and one line: proved with `tests/annex`, in a copy of Mainstay that lists it."""

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COPIED = ("mainstay", "tests", "bench", "examples", "docs", "pyproject.toml", "conftest.py")
BEFORE, LINE = '        "mainstay.config",\n', '        "tests.annex",\n'
OURS = ("PYTEST_", "MAINSTAY_", "DATABASE_URL", "TEST_ENVIRONMENT", "TEST_TABLES")  # of the run that runs this
# What every wing is tested with, whatever it brings: roles × pages, roles × operations, the API's document, the form
# of the house, and what composes wings.
OF_ALL = (
    "tests/test_architecture.py",
    "tests/test_wings.py",
    "mainstay/desk/tests/test_every_page.py",
    "mainstay/desk/tests/test_api_permissions.py",
    "mainstay/desk/tests/test_api_document.py",
    "mainstay/desk/tests/test_permissions.py",
    # The annex stands in no document of Mainstay.
    "--deselect",
    "mainstay/desk/tests/test_api_document.py::test_the_documentation_lists_every_operation_with_its_permission_and_every_status",
)


def different(one: Path, other: Path) -> Iterator[Path]:
    """Files that are not the same in both."""
    found = filecmp.dircmp(one, other, ignore=["__pycache__", ".hypothesis"])
    yield from (one / name for name in (*found.left_only, *found.right_only, *found.diff_files, *found.funny_files))
    for name in found.common_dirs:
        yield from different(one / name, other / name)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Mainstay with the annex: one line more."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, tmp_path / name)
    wings = tmp_path / "mainstay" / "wings.py"
    before = wings.read_text(encoding="utf-8")
    assert before.count(BEFORE) == 1
    wings.write_text(before.replace(BEFORE, LINE + BEFORE), encoding="utf-8")
    return tmp_path


@pytest.mark.long
@pytest.mark.database
@pytest.mark.timeout(300)
def test_a_wing_is_its_folder_and_one_line(copy: Path) -> None:
    changed = [path.relative_to(ROOT) for name in ("mainstay", "tests") for path in different(ROOT / name, copy / name)]
    assert changed == [Path("mainstay/wings.py")]
    of_all = () if os.environ.get("TEST_DATABASE") == "postgresql" else OF_ALL
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not timing and not slow", "tests/annex", *of_all],
        cwd=copy,
        env={name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
