"""Chunks give every value back bit by bit, and are small where metrics are simple."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.metrics.promql.series import ABSENT, STALE, Values
from mainstay.observe.metrics.store.disk.chunks import decoded, encode

rows = st.one_of(
    *(
        st.lists(values, min_size=12, max_size=12)
        for values in (
            st.floats(),
            st.integers(-(2**60), 2**60).map(float),
            st.integers(0, 15).map(float),
            st.integers(-300, 300).map(lambda value: value / 100),
            st.sampled_from([0.0, -0.0, 1.0]),
            st.sampled_from([STALE, ABSENT, 1.0, 2.0, 3.5]),
            st.sampled_from([STALE, ABSENT, float("nan"), float("inf"), 1e-320]),
            st.floats(width=32),
        )
    )
)


def decoded_again(values: Values) -> Values:
    chunks = encode(values)
    out = np.full(values.shape, 7.0)
    for which, found in decoded(chunks, np.full(len(chunks), values.shape[1])):
        out[which] = found
    return out


@given(st.lists(rows, min_size=1, max_size=6), st.integers(1, 12))
def test_values_come_back_bit_by_bit(table: list[list[float]], n: int) -> None:
    values = np.ascontiguousarray(np.array(table, np.float64)[:, :n])
    assert decoded_again(values).view(np.uint64).tolist() == values.view(np.uint64).tolist()


def test_more_rows_than_are_encoded_at_once() -> None:
    values = np.random.default_rng(1).integers(0, 99, (5_000, 7)).cumsum(axis=1).astype(np.float64)
    np.testing.assert_array_equal(decoded_again(values), values)


def test_a_counter_takes_about_a_byte_a_sample_and_a_constant_none() -> None:
    rng = np.random.default_rng(1)
    counter = rng.integers(0, 200, (1, 48)).cumsum(axis=1).astype(np.float64)
    slow = rng.integers(0, 15, (1, 48)).cumsum(axis=1).astype(np.float64)
    ratio = rng.integers(4_000, 4_200, (1, 48)) / 10_000
    sizes = [len(encode(values)[0]) for values in (counter, slow, ratio, np.full((1, 48), 0.1))]
    assert sizes[0] <= 13 + 47
    assert sizes[1] <= 13 + 24
    assert sizes[2] <= 13 + 2 * 47
    assert sizes[3] == 9
