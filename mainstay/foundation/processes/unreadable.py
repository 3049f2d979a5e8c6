"""Rows that everybody reads and one of which cannot be read: it costs only itself, and Now says so."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db import DatabaseError
from django.db.models import Model

from mainstay.foundation.clock import now
from mainstay.foundation.processes import notices

log = logging.getLogger("mainstay.processes")
Row = TypeVar("Row", bound=Model)
Value = TypeVar("Value")
_told: dict[str, str] = {}


def readable(what: str, rows: Iterable[Row], read: Callable[[Row], Value]) -> list[Value]:
    """Return what `read` makes of each row; those that it cannot read are passed over, and said to be so.

    Args:
        what: such as "route", for the notice.
    """
    found: list[Value] = []
    wrong: list[str] = []
    for row in rows:
        try:
            found.append(read(row))
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever is in it: one row must not stop all that read the others
            wrong.append(f"{row.pk} ({str(error)[:200] or type(error).__name__})")
    if wrong:
        _tell(what, wrong)
    elif _told.pop(what, None) is not None:
        notices.end(f"unreadable {what}")
    return found


def _tell(what: str, wrong: list[str]) -> None:
    said = f"{what} {', '.join(wrong[:3])}{', …' if len(wrong) > 3 else ''}"
    if _told.get(what) == said:
        return
    _told[what] = said
    log.error("passed over, since it cannot be used: %s", said)
    title = f"{len(wrong)} {what if len(wrong) == 1 else f'{what}s'} cannot be used and is passed over."
    notices.tell(f"unreadable {what}", title, f"{said}. Write it anew.", now(), grave=True)
