"""What an operation says of itself beyond its signature."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

F = TypeVar("F", bound=Callable[..., object])


def marked(
    *, slow: bool = False, problems: tuple[int, ...] = (), models: tuple[type[BaseModel], ...] = ()
) -> Callable[[F], F]:
    """Mark an operation.

    Args:
        slow: it changes nothing and may take seconds, so no transaction is held open around it.
        problems: further statuses that it may answer, for the OpenAPI document.
        models: what its description there refers to beyond its signature.
    """

    def mark(function: F) -> F:
        function.slow = slow  # type: ignore[attr-defined]  # read by `door`
        function.problems = problems  # type: ignore[attr-defined]  # read by `describe`
        function.models = models  # type: ignore[attr-defined]  # read by `describe`
        return function

    return mark
