"""The database past the ORM, for what comes thousands of times a minute (results, pings, states, what loops ask).

Measured: a row through `bulk_create` costs five times what one through `executemany` does, and building a query ten
times what its answer does.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, models

from mainstay.foundation.words.text import storable_json


def select(sql: str, *given: Any) -> list[tuple[Any, ...]]:
    """Return the rows that `sql` selects, with `given` in the places of its `%s`."""
    with connection.cursor() as cursor:
        cursor.execute(sql, [moment(value) if isinstance(value, datetime) else value for value in given])
        return list(cursor.fetchall())


def firsts(sql: str, *given: Any) -> list[Any]:
    """Return the first column of what `sql` selects."""
    return [row[0] for row in select(sql, *given)]


def insert(model: type[models.Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert `rows`, each in the order of `columns` (column names), in the open transaction."""
    if not rows:
        return
    table = connection.ops.quote_name(model._meta.db_table)
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    marks = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608  # names are ours


def update(
    model: type[models.Model],
    columns: Sequence[str],
    where: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    null: Sequence[str] = (),
) -> int:
    """Update one row per tuple of `rows`: first the values of `columns`, then of `where`. Return how many exist.

    Args:
        null: columns that must be NULL for a row to be updated.
    """
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    sets = ", ".join(f"{quote(column)} = %s" for column in columns)
    conditions = " AND ".join([*(f"{quote(column)} = %s" for column in where), *(f"{quote(c)} IS NULL" for c in null)])
    with connection.cursor() as cursor:
        given = list(rows)
        if not given:
            return 0
        cursor.executemany(f"UPDATE {table} SET {sets} WHERE {conditions}", given)  # noqa: S608  # names are ours
        return int(cursor.rowcount)


def save(rows: Sequence[models.Model], fields: Sequence[str]) -> None:
    """Write `fields` of rows of one table, found by their primary keys."""
    if not rows:
        return
    meta = rows[0]._meta
    those = [each for each in meta.concrete_fields if each.name in fields]
    assert len(those) == len(fields), fields  # a name that is none would be passed over
    columns = [*those, meta.pk]
    values = [[each.get_db_prep_save(getattr(row, each.attname), connection) for each in columns] for row in rows]
    update(type(rows[0]), [str(each.column) for each in those], [str(meta.pk.column)], values)


def json_text(value: dict[str, Any]) -> str:
    """Return `value` as JSON that can be stored."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # half a surrogate pair
        text = json.dumps(value)
    return json.dumps(storable_json(json.loads(text))) if "\\u0000" in text or "\\ud" in text else text


def moment(at: datetime | None) -> Any:
    """Return `at` as the database's driver wants it."""
    return connection.ops.adapt_datetimefield_value(at) if at is not None else None


def moments() -> Callable[[datetime | None], Any]:
    """Return what does the same as `moment` for many, in one transaction."""
    adapt: Callable[[datetime | None], Any] = connection.ops.adapt_datetimefield_value
    return adapt
