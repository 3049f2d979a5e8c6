"""All resources, as the wings list them: whatever the file, its plan and its reference do is a loop over these."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from mainstay.foundation.dotted import named
from mainstay.foundation.resource import Resource
from mainstay.wings import WINGS


@cache
def resources() -> Mapping[str, Resource[Any]]:
    """Return all resources by kind: what others refer to comes first."""
    found: list[Resource[Any]] = [named(wing, "resources", path) for wing in WINGS for path in wing.resources]
    return {one.kind: one for one in sorted(found, key=lambda one: one.order)}


def at_the_top() -> Iterator[Resource[Any]]:
    """Yield those that are sections of the file."""
    return (one for one in resources().values() if not one.within)


def inside(kind: str) -> Iterator[Resource[Any]]:
    """Yield those that items of `kind` hold."""
    return (one for one in resources().values() if one.within == kind)
