"""Pages by cursor, and files."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import AsyncRequestFactory, RequestFactory

from mainstay.foundation.accounts.models import Team
from mainstay.kit.apps import Id
from mainstay.kit.lists import by_key, chips, choice, columns, export, page_number, page_of, pages_beside

COLUMNS = {"name": lambda row: row["name"], "at": lambda row: row["at"], "labels": lambda row: row["labels"]}
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _row(name: str) -> dict[str, Any]:
    return {"name": name, "at": AT, "labels": {"team": "payments"}}


def _file(kind: str, rows: list[dict[str, Any]]) -> str:
    answer = export(RequestFactory().get("/", {"format": kind}), "things", COLUMNS, rows)
    assert answer is not None
    return b"".join(answer).decode()


@pytest.fixture
def teams(db: None) -> list[int]:
    return [Team.objects.create(name=f"team {i:03}").pk for i in range(120)]


def _page(query: str) -> Any:
    return page_of(RequestFactory().get(f"/{query}"), Team.objects.all())


def test_walking_to_older_pages_and_back_shows_every_row_once(teams: list[int]) -> None:
    seen, query, pages = [], "", []
    while True:
        found = _page(query)
        pages.append([row.pk for row in found.rows])
        seen += pages[-1]
        if not found.older:
            break
        query = found.older
    assert seen == sorted(teams, reverse=True)
    back = _page(found.newer)
    assert [row.pk for row in back.rows] == pages[-2]


def test_the_first_page_has_no_newer_one_and_the_last_no_older(teams: list[int]) -> None:
    assert _page("").newer == ""
    assert _page(f"?before={teams[10]}").older == ""


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30, "1.5", "٣", ""])
def test_a_cursor_that_is_none_counts_as_the_first_page(teams: list[int], cursor: str) -> None:
    assert _page(f"?before={cursor}").rows[0].pk == teams[-1]


def test_a_cursor_keeps_the_filters(teams: list[int]) -> None:
    assert "q=team" in _page("?q=team").older


def test_all_rows_are_read_in_pieces(teams: list[int]) -> None:
    assert [row.pk for row in by_key(Team.objects.all(), 7)] == sorted(teams, reverse=True)


def test_a_cell_that_a_spreadsheet_would_run_is_made_text() -> None:
    found = list(csv.reader(io.StringIO(_file("csv", [_row("=cmd()"), _row("fine")]))))
    assert found[0] == ["name", "at", "labels"]
    assert found[1][0] == "'=cmd()"
    assert found[2] == ["fine", "2026-03-02T12:00:00+00:00", '{"team":"payments"}']


@pytest.mark.parametrize("count", [0, 1, 500, 501])
def test_json_is_one_list_however_many_rows(count: int) -> None:
    assert len(json.loads(_file("json", [_row(str(i)) for i in range(count)]))) == count


def test_json_lines_hold_one_object_each() -> None:
    assert [json.loads(line)["name"] for line in _file("jsonl", [_row("a"), _row("b")]).splitlines()] == ["a", "b"]


def test_no_format_is_no_file() -> None:
    assert export(RequestFactory().get("/", {"format": "exe"}), "things", COLUMNS, []) is None


def test_under_asgi_the_first_piece_leaves_before_the_last_row_is_read() -> None:
    read = 0

    def rows() -> Any:
        nonlocal read
        for i in range(5_000):
            read = i
            yield _row(str(i))

    async def first() -> int:
        answer = export(AsyncRequestFactory().get("/", {"format": "csv"}), "things", COLUMNS, rows())
        assert answer is not None
        async for _ in answer:
            return read
        return -1

    assert 0 < asyncio.run(first()) < 1_000


@pytest.mark.parametrize(
    ("query", "number"), [("", 1), ("?page=3", 3), ("?page=0", 1), ("?page=x", 1), ("?page=999999", 1), ("?page=٣", 1)]
)
def test_what_is_no_page_counts_as_the_first(query: str, number: int) -> None:
    assert page_number(RequestFactory().get(f"/{query}")) == number


def test_the_pages_beside_one_keep_what_the_list_is_narrowed_to() -> None:
    request = RequestFactory().get("/?q=a&page=2")
    assert pages_beside(request, 2, more=True) == {"before": "?q=a&page=1", "after": "?q=a&page=3"}
    assert pages_beside(request, 1, more=False) == {"before": "", "after": ""}
    assert chips(request, {"q": "“a”", "state": ""}) == [{"label": "“a”", "href": "?"}]


def test_columns_are_attributes_by_heading() -> None:
    at = {name: of(AT) for name, of in columns("year month=month zone=tzinfo.utcoffset").items()}
    assert list(at) == ["year", "month", "zone"]
    assert at["year"] == 2026


def test_a_filter_offers_values_with_their_own_text_or_as_they_are() -> None:
    assert choice("state", "Any state", "up", ["up", ("down", "is down")])["choices"] == [
        ("up", "up"),
        ("down", "is down"),
    ]


def test_an_id_is_a_number_that_a_key_can_have() -> None:
    assert Id().to_python(str(2**63 - 1)) == 2**63 - 1
    for text in (str(2**63), "9" * 40, "9" * 5_000):
        with pytest.raises(ValueError, match="no id"):
            Id().to_python(text)
