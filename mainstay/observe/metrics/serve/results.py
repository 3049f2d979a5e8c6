"""Results of queries as the JSON of the Prometheus HTTP API, written column by column: most of an answer is numbers."""

from collections.abc import Iterator
from itertools import compress

import orjson

from mainstay.foundation.words.text import storable
from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.promql.result import Result
from mainstay.observe.metrics.promql.series import Index, Series, Times
from mainstay.observe.metrics.serve.text import of_floats

_CELLS = 1 << 16  # values that are texts at one time


def written(result: Result, most: int) -> orjson.Fragment:
    """Return the first `most` series of a vector or a matrix."""
    order = result.order[:most]
    metrics = _metrics(result.series, order)
    if result.kind is Kind.MATRIX:
        rows = (
            f'{{"metric":{{{metric}}},"values":[{points}]}}'
            for metric, points in zip(metrics, _points(result, order), strict=True)
        )
    else:
        rows = (
            f'{{"metric":{{{metric}}},"value":{point}}}'
            for metric, point in zip(metrics, _points(result, order), strict=True)
        )
    return orjson.Fragment(f"[{','.join(rows)}]".encode())


def _text(text: str) -> str:
    try:
        return orjson.dumps(text).decode()
    except TypeError:  # bytes that are no UTF-8, as `label_replace(up, "x", "\\xff", "", "")` makes
        return orjson.dumps(storable(text)).decode()


def _metrics(series: Series, order: Index) -> list[str]:
    """Return the labels of some series, without braces."""
    texts, columns = series.symbols.texts, []
    for name, codes in zip(series.names, series.codes[order].T.tolist(), strict=True):
        pair = {code: f"{_text(name)}:{_text(texts[code])}" if code else "" for code in set(codes)}
        columns.append([pair[code] for code in codes])
    return [",".join(filter(None, row)) for row in zip(*columns, strict=True)] if columns else [""] * len(order)


def _points(result: Result, order: Index) -> Iterator[str]:
    """Yield the points of each series."""
    raw = result.raw
    if raw is not None:
        for row in order.tolist():
            count = int(raw.counts[raw.group[row]])
            times = _times(raw.times[raw.group[row], :count])
            yield ",".join(map('[{},"{}"]'.format, times, of_floats(raw.values[row, :count].tolist())))
        return
    times = _times(result.times_ms)
    width = len(times)
    whole = ",".join(f'[{time},"%s"]' for time in times)
    height = max(1, _CELLS // max(1, width))
    for begin in range(0, len(order), height):
        rows = order[begin : begin + height]
        texts = of_floats(result.grid_values[rows].ravel().tolist())
        present = result.grid_present[rows] if result.grid_present is not None else None
        for number in range(len(rows)):
            row = texts[number * width : (number + 1) * width]
            if present is None or present[number].all():
                yield whole % tuple(row)
            else:
                yield ",".join(compress(map('[{},"{}"]'.format, times, row), present[number].tolist()))


def _times(times_ms: Times) -> list[str]:
    return [orjson.dumps(at / 1000).decode() for at in times_ms.tolist()]
