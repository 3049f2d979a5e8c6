"""What commands print: calm text for people, JSON for programs, errors on stderr without a traceback."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import IO, Any

_CODES = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1"}
SHOWN_CHARACTERS = 120


class Paint:
    """Colours words on a terminal that shows colours, and leaves them alone elsewhere (pipe, file, NO_COLOR)."""

    def __init__(self, stream: IO[str]) -> None:
        self.on = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __call__(self, text: str, colour: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.on and text else text


def clean(text: str) -> str:
    """Return `text` on one line and without control characters: what is shown may come from anybody."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def shortened(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Return `text` cleaned, and cut when it is long."""
    cleaned = clean(text)
    return cleaned if len(cleaned) <= most else f"{cleaned[: most - 1]}…"


def say(text: str = "") -> None:
    """Print a line on stdout."""
    sys.stdout.write(f"{text}\n")


def fail(text: str) -> int:
    """Print what is wrong on stderr; return the exit status 1."""
    sys.stderr.write(f"mainstay: {text}\n")
    return 1


def say_json(document: Any) -> None:
    """Print a document for programs."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Print rows in columns under a header."""
    cells = [list(header), *([shortened(cell, 60) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    paint = Paint(sys.stdout)
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        say(line if number else paint(line, "dim"))


def moment(at: datetime | None, never: str = "never") -> str:
    """Return a time as people read it: UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if at is not None else never


def example(parser: argparse.ArgumentParser, lines: Iterable[str]) -> None:
    """Show examples at the end of `--help`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["example:", *(f"  {line}" for line in lines)])


def plainly(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Turn what can go wrong in a command (a refusal, an unreachable database) into one line and exit status 1."""

    @wraps(command)
    def guarded(args: argparse.Namespace) -> int:
        from django.db import DatabaseError

        from mainstay.foundation.accounts.actor import NotAllowed
        from mainstay.foundation.refusal import Refused
        from mainstay.foundation.secrets import LostKey

        try:
            return command(args)
        except (Refused, NotAllowed, LostKey) as error:
            return fail(str(error))
        except DatabaseError as error:
            first = str(error).strip().partition("\n")[0]
            missing = "no such table" in first or "does not exist" in first
            mend = "Run first: mainstay prepare" if missing else "Ask: mainstay doctor"
            return fail(f"the database refuses: {first}. {mend}")

    return guarded
