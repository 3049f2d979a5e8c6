"""The steps at which an expression is evaluated."""

from dataclasses import dataclass

import numpy as np

from mainstay.observe.metrics.promql.plan import Edge
from mainstay.observe.metrics.promql.series import Times


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Steps in unix milliseconds, `step_ms` apart, within a query from `query_start_ms` to `query_end_ms`."""

    times: Times  # [steps]
    step_ms: int
    query_start_ms: int
    query_end_ms: int
    query_step_ms: int
    key: tuple[int, int, int]

    @classmethod
    def of(cls, start_ms: int, end_ms: int, step_ms: int, query: "Grid | None" = None) -> "Grid":
        """Return the steps from start to end; `query` is the grid of the whole query if this is a part of it."""
        times = np.arange(start_ms, end_ms + 1, step_ms or 1, dtype=np.int64)
        return cls(
            times,
            step_ms,
            start_ms if query is None else query.query_start_ms,
            end_ms if query is None else query.query_end_ms,
            step_ms if query is None else query.query_step_ms,
            (start_ms, end_ms, step_ms),
        )

    def __len__(self) -> int:
        return len(self.times)

    def moved(self, at: int | Edge | None, offset_ms: int) -> Times:
        """Return the times a selector with `@` and offset looks at: one a step, or a single one if `@` fixes it."""
        if at is None:
            return self.times - offset_ms if offset_ms else self.times
        moment = self.query_start_ms if at is Edge.START else self.query_end_ms if at is Edge.END else at
        return np.array([moment - offset_ms], np.int64)
