"""What a function is: its arguments, what it does, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mainstay.observe.metrics.promql.plan import Call, Kind
from mainstay.observe.metrics.promql.vector import Scalar, Vector

if TYPE_CHECKING:
    from mainstay.observe.metrics.promql.evaluate import Evaluation
    from mainstay.observe.metrics.promql.grid import Grid

Implementation = Callable[["Evaluation", Call, "Grid"], Vector | Scalar]


@dataclass(frozen=True, slots=True)
class Function:
    """A PromQL function. `arguments` are the kinds it takes; the last `optional` ones may be left out."""

    name: str
    arguments: tuple[Kind, ...]
    returns: Kind
    implementation: Implementation
    doc: str
    optional: int = 0
    repeats: bool = False  # the last argument may be given any number of times

    @property
    def signature(self) -> str:
        """Return how it is called, as documentation shows it."""
        names = {"vector": "v instant-vector", "matrix": "v range-vector", "scalar": "s scalar", "string": "t string"}
        shown = [names[kind] for kind in self.arguments]
        required = len(shown) - self.optional
        shown = [one if number < required else f"[{one}]" for number, one in enumerate(shown)]
        return f"{self.name}({', '.join(shown)}{', …' if self.repeats else ''})"
