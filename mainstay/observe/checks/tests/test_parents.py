"""Which checks excuse which: named needs, components, environments, and never a circle of excuses."""

from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.checks.parents import parents, reachable

numbers = st.integers(0, 7)
edges = st.dictionaries(numbers, st.lists(numbers, max_size=4), max_size=8)


@given(numbers, edges)
def test_reachable_is_the_closure(start: int, given: dict[int, list[int]]) -> None:
    found: set[int] = {start}
    for _ in range(9):
        found |= {other for one in found for other in given.get(one, ())}
    assert reachable(start, given) == found - {start}


def test_needs_are_followed_to_the_end() -> None:
    rows = [(1, None, None), (2, None, None), (3, None, None)]
    assert parents(rows, {1: [2], 2: [3]}, {}) == {1: frozenset({2, 3}), 2: frozenset({3})}


def test_a_component_needs_the_checks_of_those_below_in_its_environment() -> None:
    shop, database, disk = 10, 20, 30
    production, staging = 1, 2
    rows = [
        (1, shop, production),
        (2, shop, staging),
        (3, database, production),
        (4, database, staging),
        (5, database, None),
        (6, disk, production),
        (7, shop, None),
    ]
    found = parents(rows, {}, {shop: [database], database: [disk]})
    assert found[1] == {3, 5, 6}
    assert found[2] == {4, 5}
    assert found[3] == {6}
    assert found[7] == {3, 4, 5, 6}
    assert 6 not in found


def test_two_checks_are_never_each_others_excuse() -> None:
    """Check 1 names check 2, while the component of 2 needs that of 1: each kind is free of circles, both are not."""
    rows = [(1, 10, None), (2, 20, None), (3, None, None)]
    assert parents(rows, {1: [2], 3: [1]}, {20: [10]}) == {3: frozenset({1, 2})}


@given(
    st.lists(
        st.tuples(numbers, st.none() | st.integers(0, 3), st.none() | st.integers(0, 1)), unique_by=lambda row: row[0]
    ),
    edges,
    st.dictionaries(st.integers(0, 3), st.lists(st.integers(0, 3), max_size=3)),
)  # fmt: skip
def test_whatever_is_down_somebody_is_left_without_an_excuse(
    rows: list[tuple[int, int | None, int | None]], needs: dict[int, list[int]], components: dict[int, list[int]]
) -> None:
    found = parents(rows, needs, components)
    down = {check for check, _, _ in rows}
    assert not down or any(not (found.get(check, frozenset()) & down) for check in down)
    assert all(check not in others for check, others in found.items())
