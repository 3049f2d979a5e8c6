"""What every list does: pages by cursor, and exports of the same rows as CSV, JSON or JSON lines."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from itertools import chain, islice
from operator import attrgetter, or_
from typing import Any, Generic, TypeVar

import orjson
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import urlencode

from mainstay.foundation.words.names import ID_MOST

M = TypeVar("M", bound=Model)
T = TypeVar("T")

PAGE_ROWS = 50
CHUNK_ROWS = 500
VALUE_MOST, WORDS_MOST = 300, 6
FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json", "jsonl": "application/x-ndjson"}
# A spreadsheet runs a cell that begins so as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, newest first, and the query strings of the pages beside them (empty: there is none)."""

    rows: list[T]
    newer: str
    older: str


def ids_in(texts: Iterable[str]) -> list[int]:
    """Return the ids among `texts`."""
    numbers = [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) < 20]
    return [number for number in numbers if number <= ID_MOST]


def id_in(text: str) -> int | None:
    """Return the id that a text is; None when it is none."""
    return next(iter(ids_in([text])), None)


def cursor(request: HttpRequest) -> tuple[int | None, int | None]:
    """Return the ids in `?before=` and `?after=`; what is no id counts as absent."""
    return id_in(request.GET.get("before", "")), id_in(request.GET.get("after", ""))


def rows_at(rows: QuerySet[M], before: int | None, after: int | None, size: int) -> tuple[list[M], bool, bool]:
    """Return one page of `rows` by id, newest first, and whether there are newer and older ones."""
    if after is not None:
        found = list(rows.filter(pk__gt=after).order_by("pk")[: size + 1])
        return found[:size][::-1], len(found) > size, bool(found)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: size + 1])
    return found[:size], before is not None and bool(found), len(found) > size


def page_of(request: HttpRequest, rows: QuerySet[M], size: int = PAGE_ROWS) -> Page[M]:
    """Return one page of `rows`. No row is counted, so a long list costs what a short one does."""
    found, newer, older = rows_at(rows, *cursor(request), size)
    return page_between(request, found, newer=newer, older=older)


def page_between(request: HttpRequest, rows: list[M], *, newer: bool, older: bool) -> Page[M]:
    """Return `rows` as a page, with links to its neighbours where there are some."""
    return Page(
        rows,
        with_query(request, after=rows[0].pk, before=None) if newer and rows else "",
        with_query(request, before=rows[-1].pk, after=None) if older and rows else "",
    )


def with_query(request: HttpRequest, **changes: object) -> str:
    """Return the request's query string with some values changed; None removes one."""
    given: dict[str, Any] = dict(request.GET.lists())
    for name, value in changes.items():
        given.pop(name, None)
        if value is not None:
            given[name] = str(value)
    return "?" + urlencode(given, doseq=True)


def page_number(request: HttpRequest) -> int:
    """Return `?page=`; what is no page counts as the first."""
    given = request.GET.get("page", "1")
    return max(1, int(given)) if given.isascii() and given.isdecimal() and len(given) < 6 else 1


def pages_beside(request: HttpRequest, number: int, *, more: bool) -> dict[str, str]:
    """Return the query strings of the pages `before` and `after` page `number` (empty: there is none)."""
    return {
        "before": with_query(request, page=number - 1) if number > 1 else "",
        "after": with_query(request, page=number + 1) if more else "",
    }


def columns(names: str) -> dict[str, Callable[[Any], Any]]:
    """Return the columns of an export that are attributes of its rows: "name state id=pk"."""
    pairs = (name.partition("=") for name in names.split())
    return {heading: attrgetter(attribute or heading) for heading, _, attribute in pairs}


def search_box(label: str, value: str) -> dict[str, Any]:
    """Return the filter `?q=` of a list, for `components/filters.html`."""
    return {"name": "q", "label": label, "value": value}


def choice(name: str, label: str, value: str, choices: Iterable[str | tuple[str, str]]) -> dict[str, Any]:
    """Return a filter of a list that offers some values, each with a text of its own or as it is."""
    return {
        "name": name,
        "label": label,
        "value": value,
        "choices": [(one, one) if isinstance(one, str) else one for one in choices],
    }


def chips(request: HttpRequest, shown: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what a list is narrowed to, in words by name in the query, each with the address without it."""
    return [
        {"label": label, "href": with_query(request, **{name: None, "page": None, "before": None, "after": None})}
        for name, label in shown.items()
        if label
    ]


class Wanted:
    """What the query string narrows a list to: the value of each filter by its name, empty for any.

    Attributes:
        filters: for `components/filters.html`.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self.values: dict[str, str] = {}
        self.filters: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return any(self.values.values())

    def read(self, name: str) -> str:
        """Return the value of a filter that is not offered."""
        value = self.values[name] = self._request.GET.get(name, "").replace("\0", "").strip()[:VALUE_MOST]
        return value

    def search(self, label: str) -> str:
        """Offer a search box, and return what stands in it."""
        self.filters.append(search_box(label, self.read("q")))
        return self.values["q"]

    def choose(self, name: str, label: str, choices: Iterable[str | tuple[str, str]], *, known: bool = False) -> str:
        """Offer some values, and return the chosen one; `known`: any other counts as none."""
        offered = choice(name, label, self.read(name), choices)
        if known and self.values[name] not in {value for value, _ in offered["choices"]}:
            self.values[name] = offered["value"] = ""
        self.filters.append(offered)
        return self.values[name]

    def chips(self, **words: str) -> list[dict[str, str]]:
        """Return what the list is narrowed to, each with the address without it; `words` where the value is not it."""
        shown = {name: words.get(name, value) for name, value in self.values.items() if value and name != "q"}
        return chips(self._request, {**shown, "q": f"“{self.values['q']}”"} if self.values.get("q") else shown)


def with_words(rows: QuerySet[M], words: str | Sequence[str], *fields: str) -> QuerySet[M]:
    """Narrow `rows` to those that have each word in one of `fields`; of many words, the first six count."""
    for word in (words.split() if isinstance(words, str) else words)[:WORDS_MOST]:
        rows = rows.filter(reduce(or_, (Q(**{f"{field}__icontains": word}) for field in fields)))
    return rows


def by_key(rows: QuerySet[M], size: int = CHUNK_ROWS) -> Iterator[M]:
    """Yield all of `rows`, newest first, in many short queries: one long one would hold back SQLite's clean-up."""
    rows = rows.order_by("-pk")
    found = list(rows[:size])
    while found:
        yield from found
        found = list(rows.filter(pk__lt=found[-1].pk)[:size]) if len(found) == size else []


def export(
    request: HttpRequest, name: str, columns: Mapping[str, Callable[[T], Any]], rows: Iterable[T], always: str = ""
) -> StreamingHttpResponse | None:
    """Return `rows` as a file when the request asks for one by `?format=csv|json|jsonl`, else None.

    Args:
        name: of the file, without its ending.
        columns: heading → what stands under it for one row.
        always: the format when the request asks for none.
    """
    kind = request.GET.get("format", "")
    kind = kind if kind in FORMATS else always
    if not kind:
        return None
    write = {"csv": _csv, "json": _json, "jsonl": _jsonl}[kind]
    pieces = write(columns, rows)
    return StreamingHttpResponse(
        # Under ASGI a plain iterator would be read to its end before the first byte leaves.
        _in_thread(pieces) if isinstance(request, ASGIRequest) else pieces,
        content_type=FORMATS[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}.{kind}"'},
    )


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    take = sync_to_async(lambda: next(pieces, b""))
    while piece := await take():
        yield piece


def _csv(columns: Mapping[str, Callable[[T], Any]], rows: Iterable[T]) -> Iterator[bytes]:
    lines: Iterator[list[Any]] = chain([list(columns)], ([_cell(of(row)) for of in columns.values()] for row in rows))
    while chunk := list(islice(lines, CHUNK_ROWS)):
        out = io.StringIO()
        csv.writer(out).writerows(chunk)
        yield out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(item) for item in value)
    elif isinstance(value, dict):
        value = orjson.dumps(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _objects(columns: Mapping[str, Callable[[T], Any]], rows: Iterable[T]) -> Iterator[bytes]:
    for row in rows:
        yield orjson.dumps({name: of(row) for name, of in columns.items()}, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _jsonl(columns: Mapping[str, Callable[[T], Any]], rows: Iterable[T]) -> Iterator[bytes]:
    lines = _objects(columns, rows)
    while chunk := list(islice(lines, CHUNK_ROWS)):
        yield b"\n".join(chunk) + b"\n"


def _json(columns: Mapping[str, Callable[[T], Any]], rows: Iterable[T]) -> Iterator[bytes]:
    lines, begin = _objects(columns, rows), b"[\n"
    while chunk := list(islice(lines, CHUNK_ROWS)):
        yield begin + b",\n".join(chunk)
        begin = b",\n"
    yield b"[]\n" if begin == b"[\n" else b"\n]\n"
