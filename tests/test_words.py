"""Words that are not on screen: what people met and stumbled over, with what is said instead."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "mainstay"
INSTEAD = {
    r"\b(watch|scrape|evaluate) it\b": "Save",
    r"\byours next\b|\bowe nothing\b": "Your tasks; Nothing to do",
    r"\bhow much hangs on it\b": "Criticality",
    r"\bit stands in addresses\b": "Used in URLs",
    r"\bnobody knows how\b": "no data yet, no recent result",
    r"\bnobody can tell\b": "unknown",
    r"\bwhat shall not page\b": "Add maintenance window",
    r"\bopens the desk\b": "No second factor",
    r"\broutes call it so\b": "Name used in routes",
    r"^all of it$": "View all",
    r"^again and again$": "Recurring",
    r"\bnot yours to do\b": "You don't have permission for this",
    r"\brules to begin with\b": "Starter rules",
    r"\b(shall|whom|lest)\b": "plain words",
    r"\bhears? of\b": "gets",
}
_FILES = sorted(
    file for file in HERE.rglob("*") if file.suffix in (".html", ".txt", ".py") and "tests" not in file.parts
)


@cache
def everything() -> list[tuple[str, str]]:
    """All that may be read on screen: file, text."""
    return [(str(file.relative_to(HERE)), text) for file in _FILES for text in texts(file)]


def texts(file: Path) -> Iterator[str]:
    """What a template or module may put on screen: text without tags, strings that are no docstrings."""
    source = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        shown = re.sub(r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}|<!--.*?-->", "", source, flags=re.S)
        yield from (piece.strip() for piece in re.split(r"<[^>]*>|\{%.*?%\}", shown) if piece.strip())
        yield from re.findall(r'"([^"]*)"', shown)
        return
    tree = ast.parse(source)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


def test_there_is_something_to_read() -> None:
    assert len(everything()) > 10_000


@pytest.mark.parametrize("pattern", INSTEAD)
def test_what_is_said_plainly_elsewhere_is_not_said_otherwise(pattern: str) -> None:
    wrong = re.compile(pattern, re.IGNORECASE)
    found = [f"{file}: {text[:80]}" for file, text in everything() if wrong.search(text)]
    assert not found, f"write: {INSTEAD[pattern]}"
