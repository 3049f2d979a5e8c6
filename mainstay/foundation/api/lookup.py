"""Finding the one thing that an address names."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from mainstay.foundation.api.problems import not_found

M = TypeVar("M", bound=Model)


def find(rows: QuerySet[M], what: str, **which: Any) -> M:
    """Return the row of `rows` with these values, as in `find(Check.objects.all(), "check", pk=12)`.

    Raises:
        Problem: 404.
    """
    row = rows.filter(**which).first()
    if row is None:
        raise not_found(what, next(iter(which.values())))
    return row
