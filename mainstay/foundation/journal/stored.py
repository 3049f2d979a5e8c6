"""What is stored of entries and seals, read as bytes, and the marks that only the owner of the key can make.

Verifying must get past rows that no decoder can read (broken UTF-8, a time that is none, facts of 5,000 levels), so it
never asks the ORM: every column is read as the bytes that are stored, and these are hashed.
"""

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection, models
from django.db.models.fields.json import KeyTransform

from mainstay.foundation.secrets import derived

if TYPE_CHECKING:
    from mainstay.foundation.journal.models import Entry

LEAF = struct.Struct(">q32s")
NONCE_BYTES = 8
FETCHED = 2_000
_NUMBER = struct.Struct(">q")
_LENGTHS = struct.Struct(">9i")
_WHOLE = len("2026-03-02 12:00:00")
_EXACT = len("2026-03-02 12:00:00.123456")
_TEXTS = ("kind", "subject", "subject_name", "application", "actor", "actor_name", "facts")


class Row(NamedTuple):
    """One entry as it is stored."""

    id: int
    seal: bytes | None
    content: bytes
    mark: bytes | None

    @property
    def leaf(self) -> bytes:
        """The digest that its seal holds."""
        return hashlib.sha256(_NUMBER.pack(self.id) + self.content + (self.mark or b"")).digest()

    @property
    def is_ours(self) -> bool:
        """Whether whoever wrote it had the key, and it says what was written then."""
        mark = self.mark
        return mark is not None and _mac(b"entry", mark[:NONCE_BYTES] + self.content) == mark[NONCE_BYTES:]


class SealRow(NamedTuple):
    """One seal as it is stored; `links` is whether it says that it follows the seal before it."""

    id: int
    links: bool
    sealed_at: bytes
    leaves: bytes
    digest: bytes
    mac: bytes


@lru_cache(maxsize=4)
def _key(secret_key: str) -> bytes:
    return derived(secret_key, "mainstay journal v1")


def _mac(purpose: bytes, message: bytes) -> bytes:
    """Return a MAC: keyed BLAKE2b (RFC 7693), a quarter of the time of HMAC for texts of this length."""
    return hashlib.blake2b(message, key=_key(settings.SECRET_KEY), person=purpose, digest_size=32).digest()


def _content(columns: Sequence[bytes | None], odd: bytes = b"") -> bytes:
    """Return columns as one text from which each can be told again. `odd`: the types, when they are not ours."""
    try:
        return b"".join((_LENGTHS.pack(len(odd), *map(len, columns)), odd, *columns))  # type: ignore[arg-type]
    except TypeError:  # a column without a value
        lengths = [-1 if column is None else len(column) for column in columns]
        return b"".join((_LENGTHS.pack(len(odd), *lengths), odd, *filter(None, columns)))


def exactly(at: datetime) -> bytes:
    """Return a time as it is hashed: UTC with microseconds."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds").encode()


def _exact(stored: bytes | None) -> bytes | None:
    """The same from what SQLite stores, which leaves out microseconds that are zero. Each text has its own result."""
    if stored is None or (len(stored) == _EXACT and not stored.endswith(b".000000")):
        return stored
    return stored + (b".000000" if len(stored) == _WHOLE else b"?")


def mark_of(at: datetime, *texts: str | int | None) -> bytes:
    """Return the mark of an entry: a nonce, so that no two are alike, and the MAC of both.

    Args:
        texts: kind, subject, subject_name, application, actor, actor_name, and the facts as JSON text.
    """
    nonce = os.urandom(NONCE_BYTES)
    content = _content(
        [exactly(at), *(None if text is None else str(text).encode("utf-8", "surrogatepass") for text in texts)]
    )
    return nonce + _mac(b"entry", nonce + content)


def seal_digest(previous: bytes, seal: int, sealed_at: bytes, leaves: bytes) -> bytes:
    """Return what chains a seal to the one before it."""
    return hashlib.sha256(previous + _NUMBER.pack(seal) + sealed_at + leaves).digest()


def seal_mac(seal: int, sealed_at: bytes, leaves: bytes, digest: bytes) -> bytes:
    """Return what only the owner of the key can put to a seal."""
    return _mac(b"seal", _NUMBER.pack(seal) + sealed_at + digest + leaves)


# --- reading ------------------------------------------------------------------------------------------------------
# An expression has no declared type, so SQLite's driver runs no converter on it; a BLOB is not decoded.
_TYPES = dict.fromkeys(("at", *_TEXTS), "text") | {"application": "integer", "mark": "blob"}
_SQLITE_COLUMNS = (
    "e.id, CAST(e.seal_id AS BLOB), CASE WHEN "
    + " AND ".join(f"typeof(e.{name}) = '{kind}'" for name, kind in _TYPES.items() if name != "application")
    + " AND typeof(e.application) IN ('integer', 'null') THEN '' ELSE "
    + " || ".join(f"typeof(e.{name})" for name in _TYPES)
    + " END, "
    + ", ".join(f"CAST(e.{name} AS BLOB)" for name in _TYPES)
)
# A time outside of these years would look like another one.
_POSTGRESQL_TIME = (
    "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    " || CASE WHEN {0} >= '0001-01-01Z' AND {0} < '9999-12-31Z' THEN '' ELSE '?' END"
)
_POSTGRESQL_COLUMNS = (
    f"e.id, e.seal_id::text, '', {_POSTGRESQL_TIME.format('e.at')}, "
    + ", ".join(f"e.{name}::text" for name in _TEXTS)
    + ", e.mark"
)


def rows(where: str, values: Sequence[int] = (), most: int | None = None) -> Iterator[Row]:
    """Return entries (`e` in `where`) in the order of seal and id."""
    if connection.vendor == "sqlite":
        columns, read = _SQLITE_COLUMNS, _sqlite_row
    else:
        columns, read = _POSTGRESQL_COLUMNS, _postgresql_row
    limit = "" if most is None else f" LIMIT {most}"
    with connection.cursor() as cursor:
        query = f"SELECT {columns} FROM journal_entry e WHERE {where} ORDER BY e.seal_id, e.id{limit}"  # noqa: S608
        cursor.execute(query, values)
        while found := cursor.fetchmany(FETCHED):
            yield from map(read, found)


def _sqlite_row(row: tuple[Any, ...]) -> Row:
    number, seal, odd, at, *texts, mark = row
    return Row(number, seal, _content((_exact(at), *texts), odd.encode()), mark)


def _postgresql_row(row: tuple[Any, ...]) -> Row:
    number, seal, _, *texts, mark = row
    columns = [None if text is None else text.encode() for text in texts]
    return Row(
        number, None if seal is None else seal.encode(), _content(columns), None if mark is None else bytes(mark)
    )


_SQLITE_SEAL = (
    "SELECT id, CAST(previous_id AS BLOB), CAST(is_first AS BLOB), CAST(sealed_at AS BLOB),"
    " CAST(leaves AS BLOB), CAST(digest AS BLOB), CAST(mac AS BLOB),"
    " typeof(previous_id) || typeof(is_first) || typeof(sealed_at) || typeof(leaves) || typeof(digest) || typeof(mac)"
    " FROM journal_seal"
)
_POSTGRESQL_SEAL = (
    "SELECT id, previous_id::text, is_first::int::text, "  # noqa: S608  # no text from outside
    + _POSTGRESQL_TIME.format("sealed_at")
    + ", leaves, digest, mac, '' FROM journal_seal"
)
_SEAL_TYPES = {"", "nullintegertextblobblobblob", "integernulltextblobblobblob"}


def seals(after: int, most: int) -> list[SealRow]:
    """Return the `most` seals that follow the seal `after`."""
    query = _SQLITE_SEAL if connection.vendor == "sqlite" else _POSTGRESQL_SEAL
    with connection.cursor() as cursor:
        cursor.execute(f"{query} WHERE id > %s ORDER BY id LIMIT {most}", [after])
        return [_seal_row(row) for row in cursor.fetchall()]


def _seal_row(row: tuple[Any, ...]) -> SealRow:
    number, *given, types = row
    previous, first, at, leaves, digest, mac = (
        value.encode() if isinstance(value, str) else b"" if value is None else bytes(value) for value in given
    )
    links = (previous, first) == ((b"", b"1") if number == 1 else (str(number - 1).encode(), b""))
    at = at if connection.vendor == "postgresql" else _exact(at) or b""
    return SealRow(number, links and types in _SEAL_TYPES, at, leaves, digest, mac)


# --- fields -------------------------------------------------------------------------------------------------------
class _FactsKey(KeyTransform):
    """`facts__health="down"`: the text is read as JSON for it."""

    def preprocess_lhs(self, compiler: Any, connection: Any) -> Any:
        lhs, params, keys = super().preprocess_lhs(compiler, connection)
        return (f"({lhs})::jsonb" if connection.vendor == "postgresql" else lhs), params, keys


class FactsField(models.JSONField):
    """JSON stored as the text that was hashed. PostgreSQL's own JSON would write it anew."""

    def get_internal_type(self) -> str:
        """It is text on every database."""
        return "TextField"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return the text to store."""
        return value if value is None or hasattr(value, "as_sql") else facts_text(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the facts; of what cannot be read, its beginning: a page must show the rest of a journal."""
        if isinstance(expression, KeyTransform):
            return super().from_db_value(value, expression, connection)
        try:
            found = orjson.loads(value)
        except (orjson.JSONDecodeError, TypeError):
            found = None
        return found if isinstance(found, dict) else {"unreadable": str(value)[:200]}

    def get_transform(self, name: str) -> Any:
        """Return what looks into the facts."""
        return lambda *args, **kwargs: _FactsKey(name, *args, **kwargs)


def facts_text(facts: Any) -> str:
    """Return facts as they are stored."""
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


class MarkField(models.BinaryField):  # type: ignore[type-arg]
    """The mark of an entry, made when it is written, also by many at once."""

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        """Return the mark of a new entry."""
        if add and not model_instance.mark:
            model_instance.mark = mark_of(model_instance.at, *_texts(model_instance))
        return super().pre_save(model_instance, add)


# --- writing ------------------------------------------------------------------------------------------------------
ROWS_MOST = 100
_ROW = f"({', '.join(['%s'] * (len(_TEXTS) + 2))})"


def insert(entries: Sequence["Entry"]) -> None:
    """Insert up to `ROWS_MOST` new entries in one statement: a third of the time of the ORM, which changes pay for."""
    values: list[Any] = []
    for entry in entries:
        texts = _texts(entry)
        entry.mark = mark_of(entry.at, *texts)
        values += (connection.ops.adapt_datetimefield_value(entry.at), *texts, entry.mark)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO journal_entry (at, {', '.join(_TEXTS)}, mark)"  # noqa: S608  # no text from outside
            f" VALUES {', '.join([_ROW] * len(entries))} RETURNING id",
            values,
        )
        numbers = cursor.fetchall()
    for entry, (number,) in zip(entries, numbers, strict=True):
        entry.pk = number
        entry._state.adding, entry._state.db = False, connection.alias


def _texts(entry: "Entry") -> tuple[Any, ...]:
    """Return the columns between the time and the mark, as they are stored."""
    return (
        entry.kind,
        entry.subject,
        entry.subject_name,
        entry.application,
        entry.actor,
        entry.actor_name,
        facts_text(entry.facts),
    )
