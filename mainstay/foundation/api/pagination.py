"""Cursor pagination: `{"items": […], "next": "<cursor>" | null}`, stable while rows come and go."""

import base64
import binascii
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar, get_args

from django.db.models import Model, Q, QuerySet
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import from_unix
from mainstay.foundation.resource import UNREADABLE
from mainstay.foundation.words.explained import detail_of

log = logging.getLogger("mainstay.api")

M = TypeVar("M", bound=Model)
T = TypeVar("T")
LIMIT_MOST = 1_000
LIMIT_DEFAULT = 100
YEAR_10000_US = 253_402_300_800_000_000


class UnreadableRow(BaseModel):
    """Something stored that cannot be shown: damaged, or of a version that knew more."""

    id: int | None
    why: str


class Page(BaseModel, Generic[T]):
    """One page of a list. A row that cannot be shown is named; it takes no other with it."""

    items: list[T]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
    unreadable: list[UnreadableRow] = Field(default=[], description="Rows of this page that cannot be shown.")

    @model_validator(mode="before")
    @classmethod
    def _each_by_itself(cls, given: dict[str, Any]) -> dict[str, Any]:
        row = _adapter(cls)
        items, unreadable = [], list(given.get("unreadable", ()))
        for item in given["items"]:
            try:
                items.append(row.validate_python(item))
            except ValidationError as error:
                first = error.errors()[0]
                unreadable.append(
                    _unreadable(item.get("id"), f"{'.'.join(map(str, first['loc']))}: {detail_of(first)}")
                )
        return given | {"items": items, "unreadable": unreadable}


@cache
def _adapter(page: type[Page[Any]]) -> TypeAdapter[Any]:
    (row,) = get_args(page.model_fields["items"].annotation)
    return TypeAdapter(row)


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


def page_by_position(
    rows: QuerySet[M], show: Callable[[M], Any], *, cursor: str = "", limit: int = LIMIT_DEFAULT
) -> dict[str, Any]:
    """Return one page of `rows` in order of `position`; those of one position in order of id. One query.

    Raises:
        Problem: 422 for a cursor that is none of ours.
    """
    if cursor:
        position, pk = decode_pair(cursor)
        rows = rows.filter(Q(position__gt=position) | Q(position=position, pk__gt=pk))
    found: list[Any] = list(rows.order_by("position", "pk")[: limit + 1])
    return cut(found, show, limit, lambda row: encode_pair(row.position, row.pk))


def cut(found: Sequence[T], show: Callable[[T], Any], limit: int, cursor_after: Callable[[T], str]) -> dict[str, Any]:
    """Return the page that the first `limit` of `found` make; one more than that tells that there is a next."""
    shown = found[:limit]
    items, unreadable = [], []
    for row in shown:
        try:
            items.append(show(row))
        except UNREADABLE as error:
            unreadable.append(_unreadable(getattr(row, "pk", None), why_unreadable(error)))
    return {"items": items, "unreadable": unreadable, "next": cursor_after(shown[-1]) if found[limit:] else None}


def why_unreadable(error: Exception) -> str:
    """Return in words why a row could not be shown."""
    why = detail_of(error.errors()[0]) if isinstance(error, ValidationError) else str(error)
    return (why or type(error).__name__).rstrip(".")[:500]


def _unreadable(number: int | None, why: str) -> dict[str, Any]:
    log.error("a row cannot be shown in a list: %s: %s", number, why)
    return {"id": number, "why": why}


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
