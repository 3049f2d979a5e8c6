"""docs/config-file.md is what the specs say, and shows the contract's file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mainstay.config.apply import plan_text
from mainstay.config.reference import CONTRACT, markdown
from mainstay.config.resources import resources
from mainstay.config.tests.examples import FILE, apply_examples, examples
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.clock import now

REFERENCE = Path(__file__).parents[3] / "docs" / "config-file.md"


def test_the_reference_is_made_from_the_specs() -> None:
    """When this fails: python -m mainstay.config.reference > docs/config-file.md"""
    assert REFERENCE.read_text(encoding="utf-8") == markdown()
    assert f"```yaml\n{CONTRACT}```" in markdown()


def test_the_command_that_makes_it_prints_it(tmp_path: Path) -> None:
    """It is run in a fresh checkout, where nothing has set Django up."""
    bare = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-m", "mainstay.config.reference"]
    done = subprocess.run(command, env={**bare, "MAINSTAY_HOME": str(tmp_path)}, capture_output=True, check=True)
    assert done.stdout.decode() == markdown()


@pytest.mark.django_db
def test_the_examples_of_all_resources_are_a_valid_file() -> None:
    done = apply_examples()
    assert (done.fine, [problem.detail for problem in done.problems]) == (True, [])
    assert {change.kind for change in done.changes} == set(resources())
    assert plan_text(examples(), FILE, COMMAND_LINE, now()).changes_nothing


def test_fields_show_type_default_and_purpose() -> None:
    lines = markdown().splitlines()
    assert "| `every` | span of time | `1m` | Interval, 1s to 1d. |" in lines
    assert "| `bearer` | secret text | | Token sent as `Authorization: Bearer …`. |" in lines
    assert any(line.startswith("| `expect.status` ") and "| `2xx` |" in line for line in lines)
    assert not any(line.startswith("| `http.") for line in lines)
