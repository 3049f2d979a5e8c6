"""An answer is the JSON of what a result lists, row by row."""

from typing import Any

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.promql.result import Result
from mainstay.observe.metrics.promql.series import Mask, Samples, Series, Symbols
from mainstay.observe.metrics.serve.results import written
from mainstay.observe.metrics.serve.text import of_float

LABELS = st.dictionaries(st.sampled_from(["__name__", "a", "b", "%s", 'say "hi"']), st.text(max_size=3), max_size=4)
VALUES = st.floats() | st.integers(-5, 5).map(float)


def shown(result: Result, most: int) -> list[dict[str, Any]]:
    rows = [(labels, [[at / 1000, of_float(value)] for at, value in points]) for labels, points in result.rows()]
    if result.kind is Kind.MATRIX:
        rows.sort(key=lambda row: list(row[0].items()))
        return [{"metric": labels, "values": points} for labels, points in rows[:most]]
    return [{"metric": labels, "value": points[0]} for labels, points in rows[:most]]


@given(st.data(), st.lists(LABELS, max_size=5), st.sampled_from(["vector", "range", "raw"]), st.integers(0, 5))
def test_a_result_is_written_as_its_rows(data: st.DataObject, labels: list[dict[str, str]], of: str, most: int) -> None:
    steps = 1 if of == "vector" else data.draw(st.integers(1, 4))
    series = Series.of(Symbols(), labels)
    cells = len(labels) * steps
    values = np.array(data.draw(st.lists(VALUES, min_size=cells, max_size=cells)), np.float64).reshape(-1, steps)
    times = 1_767_225_600_123 + np.arange(steps) * 15_000
    if of == "raw":
        count = data.draw(st.integers(1, steps))
        samples = Samples(times[None, :], np.array([count]), np.zeros(len(labels), np.intp), values)
        result = Result(Kind.MATRIX, series, times[:1], np.zeros((len(labels), 0)), None, raw=samples)
    else:
        present = data.draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
        mask: Mask = np.array(present, np.bool_).reshape(-1, steps)
        mask[:, 0] |= np.logical_not(mask.any(axis=1))
        kind = Kind.VECTOR if of == "vector" else Kind.MATRIX
        result = Result(kind, series, times, values, mask)
    assert orjson.loads(orjson.dumps(written(result, most))) == shown(result, most)
