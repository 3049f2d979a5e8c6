"""Regular expressions and globs that can't be made to run for ever.

Patterns are written by people, texts come from peers that may be hostile. Python's `re` backtracks: `(a+)+$` against
30 letters runs for minutes and can't be interrupted. RE2 runs in time linear in the text. What is left is the factor:
a search costs at worst about 4 ns × program size × bytes (measured with `((a?b?){30}){30}c`: 5,465 instructions ×
1 MiB = 22 s; `[ab]*a[ab]{400}$c`: 408 × 1 MiB = 1.4 s). So the program size is limited when the pattern is written.
"""

import re
from functools import lru_cache
from typing import Annotated, Any

import re2  # type: ignore[import-untyped]  # google-re2 ships no types
from pydantic import AfterValidator

LARGEST_PROGRAM = 1000
LONGEST_PATTERN = 1000
_MEMORY_BYTES = 1 << 20


class PatternError(ValueError):
    """Not a pattern of RE2, or one that is too large."""


class Pattern:
    """A compiled regular expression (RE2 syntax: no look-around, no back-references)."""

    __slots__ = ("_compiled", "size", "text")

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_PATTERN:
            raise PatternError(f"a pattern has at most {LONGEST_PATTERN} characters, this one has {len(text)}")
        options = re2.Options()
        options.max_mem = _MEMORY_BYTES
        options.log_errors = False
        try:
            # RE2 wants valid UTF-8; a lone surrogate would raise from inside.
            text.encode()
            self._compiled: Any = re2.compile(text, options)
        except UnicodeEncodeError:
            raise PatternError("the pattern holds half a character (a lone surrogate)") from None
        except re2.error as error:
            raise PatternError(_explained(text, error)) from None
        self.text = text
        self.size = int(self._compiled.programsize)
        if self.size > LARGEST_PROGRAM:
            raise PatternError(
                f"the pattern {text!r} is too large ({self.size} steps, at most {LARGEST_PROGRAM}): "
                "use fewer or smaller counted repetitions"
            )

    def search(self, body: bytes) -> bool:
        """Whether the pattern occurs in the text. Bytes that are not UTF-8 match nothing, not even a dot."""
        return self._compiled.search(body) is not None

    def fullmatch(self, text: bytes) -> bool:
        """Whether the pattern is the whole text."""
        return self._compiled.fullmatch(text) is not None


@lru_cache(maxsize=2048)
def compile_pattern(text: str) -> Pattern:
    """The compiled pattern; raises PatternError."""
    return Pattern(text)


def glob_match(pattern: str, text: str) -> bool:
    """Whether `text` matches a glob of `*` (anything, also line ends) and `?` (one character)."""
    if "?" in pattern:
        return glob_pattern(pattern).fullmatch(text.encode("utf-8", "replace"))
    first, *middle = pattern.split("*")
    if not middle:
        return text == pattern
    last = middle.pop()
    end = len(text) - len(last)
    if end < len(first) or not text.startswith(first) or not text.endswith(last):
        return False
    position = len(first)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


@lru_cache(maxsize=512)
def glob_pattern(pattern: str) -> Pattern:
    """A glob as a regular expression; raises PatternError when it is too large."""
    parts = {"*": ".*", "?": "."}
    return Pattern(
        "(?s)"
        + "".join(parts.get(part, re.escape(part)) for part in re.findall(r"\*+|\?|[^*?]+", pattern.replace("**", "*")))
    )


def _explained(text: str, error: Exception) -> str:
    detail = error.args[0] if error.args else ""
    said = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
    if "perl operator" in said or "escape sequence" in said:
        said += " (look-around and back-references are not available)"
    return f"{text!r} is no pattern: {said}"


def _valid(text: str) -> str:
    compile_pattern(text)
    return text


PatternText = Annotated[str, AfterValidator(_valid)]
"""Pydantic type: the pattern's text, checked when the settings are made."""
