"""The real promtool, which is the oracle of the rule engine's tests (Debian's package prometheus, 2.42)."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")


def promtool(*arguments: str, where: Path, timeout: float = 110) -> subprocess.CompletedProcess[str]:
    """Run promtool in a directory."""
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *arguments], cwd=where, capture_output=True, text=True, check=False, timeout=timeout
    )


def write(path: Path, document: Any) -> Path:
    """Write a document as YAML."""
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def accepts(text: str | bytes, where: Path) -> tuple[bool, str]:
    """Tell whether promtool accepts a rule file, and what it says."""
    path = where / "rules.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    done = promtool("check", "rules", path.name, where=where)
    # A lint (duplicate rules) is told, and is no failure.
    return done.returncode == 0, done.stdout + done.stderr
