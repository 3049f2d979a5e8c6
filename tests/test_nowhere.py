"""Commands where no Mainstay lives: they say so, and leave nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
COMMANDS = [
    ["status"], ["export"], ["plan", "file.yaml"], ["apply", "file.yaml"], ["journal", "verify"], ["user", "list"],
    ["token", "list"],
]  # fmt: skip


@pytest.mark.fault("D9")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("home", ["var", "there"])
def test_nothing_is_made_and_one_sentence_says_what_to_set(tmp_path: Path, command: list[str], home: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file.yaml").write_text("applications: []\n")
    environ = {"PATH": os.environ["PATH"], "MAINSTAY_HOME": str(tmp_path / home)}
    asked = [sys.executable, "-m", "mainstay", *command]
    done = subprocess.run(asked, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"mainstay: there is no Mainstay in {tmp_path / home}: set MAINSTAY_HOME to the directory where it lives, "
        "or make a new one with: mainstay up\n"
    )
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file.yaml", "there"]
