"""Components and what they need, laid out and drawn."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.catalog.pages.drawing import Node, draw, lay

names = st.integers(0, 12).map(str)
# Ties lead from a lower to a higher number only, so that there is no cycle.
graphs = st.lists(st.tuples(names, names).filter(lambda tie: int(tie[0]) < int(tie[1])), max_size=30, unique=True)


def needs(ties: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one, other in ties:
        found.setdefault(one, []).append(other)
    return found


@given(graphs)
def test_each_lies_left_of_all_that_it_needs_and_none_is_lost(ties: list[tuple[str, str]]) -> None:
    keys = [str(i) for i in range(13)]
    laid = lay(keys, needs(ties))
    place = {key: i for i, layer in enumerate(laid.layers) for key in layer}
    assert sorted(key for key in place if key in keys) == sorted(keys)
    assert all(place[one] < place[other] for one, other in ties)
    assert set(laid.routes) == set(ties)
    for route in laid.routes.values():  # a line goes from one layer to the next, never behind a component
        assert [place[key] for key in route] == list(range(place[route[0]], place[route[-1]] + 1))


def test_a_long_chain_exhausts_no_stack() -> None:
    keys = [str(i) for i in range(3_000)]
    chain = {str(i): [str(i + 1)] for i in range(2_999)}
    assert len(lay(keys, chain).layers) == 3_000


def test_ties_to_what_is_not_drawn_are_left_out() -> None:
    assert lay(["a"], {"a": ["elsewhere"]}).routes == {}


def test_the_drawing_is_well_formed_and_escapes_names() -> None:
    nodes = [Node("a", "<b>&", href='/x?"', words="down", tone="bad"), Node("b", "a-name-that-is-much-too-long-for-it")]
    svg = draw(nodes, {"a": ["b"]}, "Components of <shop>")
    root = ET.fromstring(svg)
    assert "<b>& needs a-name-that-is-much-too-long-for-it" in (root[0].get("aria-label") or "")
    assert "a-name-that-is-muc" in svg
    assert "style=" not in svg
