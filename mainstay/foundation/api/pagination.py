"""Cursor pagination: `{"items": […], "next": "<cursor>" | null}`, stable while rows come and go."""

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from mainstay.foundation.api.problems import Problem

M = TypeVar("M", bound=Model)
LIMIT_MOST = 1_000
LIMIT_DEFAULT = 100


def page(
    rows: QuerySet[M], show: Callable[[M], dict[str, Any]], *, cursor: str = "", limit: int = LIMIT_DEFAULT, newest_first: bool = False
) -> dict[str, Any]:
    """Return one page of `rows` in order of id, and the cursor of the next.

    Raises:
        Problem: 422 for a cursor that is none of ours.
    """
    limit = max(1, min(limit, LIMIT_MOST))
    if cursor:
        after = decode(cursor)
        rows = rows.filter(pk__lt=after) if newest_first else rows.filter(pk__gt=after)
    found = list(rows.order_by("-pk" if newest_first else "pk")[: limit + 1])
    more = found[limit:]
    return {"items": [show(row) for row in found[:limit]], "next": encode(found[limit - 1].pk) if more else None}


def encode(pk: int) -> str:
    """Return an opaque cursor."""
    return base64.urlsafe_b64encode(str(pk).encode()).decode().rstrip("=")


def decode(cursor: str) -> int:
    """Return the id in a cursor."""
    try:
        value = int(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, UnicodeEncodeError):
        value = -1
    if not 0 <= value < 2**63:
        raise Problem(422, "cursor: not one that this API gave. Take `next` of the page before.")
    return value


