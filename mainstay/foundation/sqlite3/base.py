"""Django's backend for SQLite, reading a time or a key that is none as nothing.

SQLite stores any text in any column. Django reads most of what is no time as None; but 2026-13-01, and a key that is no
UUID, are errors there, and so one row that a hand wrote would keep everybody from all rows of its table: pages, plans,
the decision on each alert. A column that is empty costs only its row.
"""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db.backends.sqlite3 import base
from django.db.backends.sqlite3.operations import DatabaseOperations as Operations
from django.utils import dateparse

T = TypeVar("T")


class DatabaseOperations(Operations):
    """Reads keys; writes times, of which every result has two."""

    def adapt_datetimefield_value(self, value: Any) -> Any:
        if type(value) is datetime and value.tzinfo is UTC and self.connection.timezone is UTC:
            return value.replace(tzinfo=None).isoformat(" ")  # what the line below comes to, for a quarter of its cost
        return super().adapt_datetimefield_value(value)

    def convert_uuidfield_value(self, value: Any, expression: Any, connection: Any) -> Any:
        try:
            return super().convert_uuidfield_value(value, expression, connection)
        except (ValueError, TypeError, AttributeError):
            return None


class DatabaseWrapper(base.DatabaseWrapper):
    """One connection."""

    ops_class = DatabaseOperations


def _or_none(parse: Callable[[str], T | None]) -> Callable[[bytes], T | None]:
    def converted(stored: bytes) -> T | None:
        try:
            return parse(stored.decode())
        except ValueError:
            return None

    return converted


# Those of Django, which the driver asks by the declared type of a column, before Django sees the value.
for _type, _parse in (
    ("datetime", dateparse.parse_datetime),
    ("timestamp", dateparse.parse_datetime),
    ("date", dateparse.parse_date),
    ("time", dateparse.parse_time),
):
    sqlite3.register_converter(_type, _or_none(_parse))
