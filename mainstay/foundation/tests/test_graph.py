"""Circles of dependencies: found exactly when there are any, and named as a path that exists."""

from itertools import pairwise, permutations

from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.graph import find_cycle

names = st.sampled_from("abcde")
graphs = st.dictionaries(names, st.lists(names, max_size=4))


def has_cycle(edges: dict[str, list[str]]) -> bool:
    """The oracle: try every way through every choice of nodes."""
    nodes = {*edges, *(other for others in edges.values() for other in others)}
    return any(
        all(then in edges.get(one, ()) for one, then in pairwise([*way, way[0]]))
        for length in range(1, len(nodes) + 1)
        for way in permutations(sorted(nodes), length)
    )


@given(graphs)
def test_a_cycle_is_found_exactly_when_there_is_one(edges: dict[str, list[str]]) -> None:
    assert (find_cycle(edges) is not None) == has_cycle(edges)


@given(graphs)
def test_the_cycle_that_is_named_exists(edges: dict[str, list[str]]) -> None:
    cycle = find_cycle(edges)
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert len(cycle) >= 2
        assert len(set(cycle)) == len(cycle) - 1
        assert all(then in edges[one] for one, then in pairwise(cycle))


def test_one_that_needs_itself_is_a_cycle() -> None:
    assert find_cycle({"a": ["a"]}) == ["a", "a"]


def test_a_long_chain_does_not_exhaust_the_stack() -> None:
    chain = {str(number): [str(number + 1)] for number in range(20_000)}
    assert find_cycle(chain) is None
    assert find_cycle({**chain, "20000": ["0"]}) is not None
