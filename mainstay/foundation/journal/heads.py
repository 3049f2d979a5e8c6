"""The head of the chain, noted outside of the database: what a shortened or older copy of it does not have.

One line per chain, `number head`; the worker writes it after each seal. A line whose seal is not followed by the next
one stays: the end was cut off, or an older copy was restored. Whoever restored one on purpose removes the line.
"""

import fcntl
from pathlib import Path

from mainstay.foundation.journal.models import Seal

NAME = "journal-head"
KEPT = 100


def note(path: Path) -> None:
    """Note the newest seal."""
    with path.open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # held while the seal is read: two workers of a machine note in order
        newest = Seal.objects.order_by("-id").values_list("id", "digest").first()
        if newest is None:
            return
        file.seek(0)
        lines = [line for line in file.read().splitlines() if line.strip()]
        line = f"{newest[0]} {bytes(newest[1]).hex()}"
        if lines and line == lines[-1]:
            return
        if lines and _number(lines[-1]) < newest[0]:
            lines.pop()
        file.truncate(0)
        file.write("\n".join([*lines[-KEPT:], line, ""]))


def noted(path: Path, since: int = 0) -> list[str]:
    """Return the heads noted of seals after `since`; a line that says nothing is a head that no chain has."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line.partition(" ")[2].strip() for line in lines if line.strip() and _number(line) > since]


def _number(line: str) -> int:
    number = line.partition(" ")[0]
    return int(number) if number.isascii() and number.isdecimal() else 2**63
