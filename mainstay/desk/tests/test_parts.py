"""A part of a page, of the navigation, of Ctrl K or of the metrics fails: the others are there all the same."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

import pytest
from django.db import ProgrammingError
from prometheus_client.core import GaugeMetricFamily, Metric

from mainstay.desk import duties, find, selfmetrics
from mainstay.desk.tests.browser import fragment, page, signed_in, title
from mainstay.foundation.accounts.permissions import STATUS_VIEW, Role
from mainstay.foundation.parts import PARTS, Drawn, Sentence
from mainstay.foundation.wing import Duties, Part, Search
from mainstay.kit import nav, regions
from mainstay.wings import WINGS

pytestmark = pytest.mark.django_db
HERE = "mainstay.desk.tests.test_parts"


def fails(*_given: Any) -> NoReturn:
    raise ValueError("a defect")


def has_no_table(*_given: Any) -> NoReturn:
    raise ProgrammingError("there is no such table")


def of_another_type(*_given: Any) -> list[Any]:
    return [{"template": ""}]


def halfway(*_given: Any) -> Iterator[Drawn]:
    yield Drawn(says=Sentence(20, "Half of it."))
    raise ValueError("a defect")


def without_a_rank(*_given: Any) -> list[Any]:
    return [Drawn(says="it is late")]  # type: ignore[arg-type]  # the defect


def with_texts_for_facts(*_given: Any) -> list[Any]:
    return [Drawn(facts=("one", "two"))]  # type: ignore[arg-type]  # the defect


def with_a_template_that_is_not_there(*_given: Any) -> list[Drawn]:
    return [Drawn("no/such.html")]


FAILING = (
    fails,
    has_no_table,
    of_another_type,
    halfway,
    without_a_rank,
    with_texts_for_facts,
    with_a_template_that_is_not_there,
)


def path_of(function: Any) -> str:
    return f"{HERE}.{function.__name__}"


@pytest.mark.parametrize("draw", FAILING)
@pytest.mark.parametrize("place", ["live", "side"])
def test_a_part_of_now_that_fails_is_said_to_be_missing(draw: Any, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "PARTS", [*PARTS, Part("now", place, 5, path_of(draw))])
    html = page(signed_in(), "/")
    assert "A part of this page failed and is missing" in html
    assert "All systems" not in html
    if place == "live":
        assert title(html) != "Nothing is wrong."
        assert "all is well" not in html
        assert "failed and is missing" in fragment(signed_in(), "/", "live").content.decode()


def test_that_nothing_is_wrong_is_not_said_when_the_alerts_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "PARTS", [Part("now", "live", 5, path_of(fails))])
    html = page(signed_in(), "/")
    assert title(html) == "Part of this page is missing."
    assert "No alert is open" not in html


@pytest.mark.parametrize("count", [fails, has_no_table])
def test_a_number_in_the_navigation_that_fails_costs_no_page(count: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [replace(place, count=path_of(count)) if place.url == "checks" else place for place in nav.PLACES]
    monkeypatch.setattr(nav, "PLACES", places)
    assert 'id="count-checks"></span>' in page(signed_in(), "/teams/")
    assert 'id="count-checks"' in fragment(signed_in(), "/", "live").content.decode()


def no_metric(_now: datetime) -> list[Any]:
    return [7]


def no_numbers(_now: datetime) -> list[Metric]:
    found = GaugeMetricFamily("mainstay_rooms", "Rooms.", labels=["floor"])
    found.add_metric([1], "many")  # type: ignore[list-item,arg-type]  # the defect
    return [found]


@pytest.mark.parametrize("figures", [fails, has_no_table, no_metric, no_numbers])
def test_figures_that_fail_cost_no_others(figures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = WINGS
    monkeypatch.setattr(selfmetrics, "WINGS", (replace(first, figures=(path_of(figures),)), *others))
    answer = signed_in().get("/metrics")
    assert answer.status_code == 200
    assert b"mainstay_build_info" in answer.content
    assert b"mainstay_journal_entries_unsealed" in answer.content
    assert b"mainstay_rooms" not in answer.content


@pytest.mark.parametrize("search", [fails, has_no_table, of_another_type])
def test_a_search_that_fails_costs_no_others(search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "SEARCHES", [Search("Rooms", path_of(search), STATUS_VIEW, 1), *find.SEARCHES])
    html = page(signed_in(), "/find?q=check")
    assert "Rooms" not in html
    assert "/checks/" in html


@pytest.mark.parametrize("duty", [fails, has_no_table, of_another_type])
def test_duties_that_fail_cost_no_others(duty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = WINGS
    all_roles = Duties(path_of(duty), dict.fromkeys(Role, 1))
    monkeypatch.setattr(duties, "WINGS", (replace(first, duties=(all_roles,)), *others))
    assert "failed" not in page(signed_in(), "/")
