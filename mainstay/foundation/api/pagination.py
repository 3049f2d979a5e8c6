"""Cursor pagination: `{"items": […], "next": "<cursor>" | null}`, stable while rows come and go."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from pydantic import BaseModel, Field

from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import from_unix

M = TypeVar("M", bound=Model)
T = TypeVar("T")
LIMIT_MOST = 1_000
LIMIT_DEFAULT = 100
YEAR_10000_US = 253_402_300_800_000_000


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


def page(
    rows: QuerySet[M],
    show: Callable[[M], Any],
    *,
    cursor: str = "",
    limit: int = LIMIT_DEFAULT,
    newest_first: bool = False,
) -> dict[str, Any]:
    """Return one page of `rows` in order of id, and the cursor of the next. One query.

    Raises:
        Problem: 422 for a cursor that is none of ours.
    """
    if cursor:
        after = decode(cursor)
        rows = rows.filter(pk__lt=after) if newest_first else rows.filter(pk__gt=after)
    found = list(rows.order_by("-pk" if newest_first else "pk")[: limit + 1])
    return cut(found, show, limit, lambda row: encode(row.pk))


def page_by_time(
    rows: QuerySet[M], field: str, show: Callable[[M], Any], *, cursor: str = "", limit: int = LIMIT_DEFAULT
) -> dict[str, Any]:
    """Return one page of `rows`, newest by `field` first; those of one instant in order of id. One query.

    Raises:
        Problem: 422 for a cursor that is none of ours.
    """
    if cursor:
        at, pk = decode_time(cursor)
        rows = rows.filter(Q(**{f"{field}__lt": at}) | Q(**{field: at, "pk__lt": pk}), **{f"{field}__lte": at})
    found = list(rows.order_by(f"-{field}", "-pk")[: limit + 1])
    return cut(found, show, limit, lambda row: encode_time(getattr(row, field), row.pk))


def cut(found: Sequence[T], show: Callable[[T], Any], limit: int, cursor_after: Callable[[T], str]) -> dict[str, Any]:
    """Return the page that the first `limit` of `found` make; one more than that tells that there is a next."""
    shown = found[:limit]
    return {"items": [show(row) for row in shown], "next": cursor_after(shown[-1]) if found[limit:] else None}


def encode(pk: int) -> str:
    """Return an opaque cursor."""
    return _pack(str(pk))


def decode(cursor: str) -> int:
    """Return the id in a cursor.

    Raises:
        Problem: 422.
    """
    text = _unpack(cursor)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < 2**63):
        raise _foreign()
    return int(text)


def encode_time(at: datetime, pk: int) -> str:
    """Return an opaque cursor of a time and an id."""
    return encode_pair(round(at.timestamp() * 1_000_000), pk)


def decode_time(cursor: str) -> tuple[datetime, int]:
    """Return the time and the id in a cursor.

    Raises:
        Problem: 422.
    """
    micros, pk = decode_pair(cursor)
    if micros >= YEAR_10000_US:
        raise _foreign()
    whole, rest = divmod(micros, 1_000_000)
    return from_unix(whole).replace(microsecond=rest), pk


def encode_pair(first: int, pk: int) -> str:
    """Return an opaque cursor of what rows are ordered by, and an id."""
    return _pack(f"{first}.{pk}")


def decode_pair(cursor: str) -> tuple[int, int]:
    """Return the two numbers in a cursor.

    Raises:
        Problem: 422.
    """
    numbers = _unpack(cursor).split(".")
    if len(numbers) != 2 or not all(one.isascii() and one.isdecimal() and len(one) < 20 for one in numbers):
        raise _foreign()
    first, pk = int(numbers[0]), int(numbers[1])
    if max(first, pk) >= 2**63:
        raise _foreign()
    return first, pk


def _pack(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpack(cursor: str) -> str:
    try:
        return base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        ).decode("ascii")
    except (binascii.Error, ValueError):
        raise _foreign() from None


def _foreign() -> Problem:
    detail = "not one that this API gave; take `next` of the page before"
    return Problem(422, f"cursor: {detail}.", [{"parameter": "cursor", "detail": detail}])
