"""Loads what wings give to pages, so that no request has to, and none is the first to meet a name that is wrong."""

from collections.abc import Iterator

from mainstay.foundation.dotted import named
from mainstay.foundation.wing import Wing
from mainstay.wings import WINGS


def load() -> None:
    """Resolve every dotted path that requests follow.

    Raises:
        CannotStart: one leads nowhere.
    """
    for wing in WINGS:
        for field, path in paths(wing):
            named(wing, field, path)


def paths(wing: Wing) -> Iterator[tuple[str, str]]:
    """Yield the dotted paths of a wing that requests follow, each with the field that holds it."""
    yield from (("routers", path) for path in wing.routers)
    yield from (("resources", path) for path in wing.resources)
    yield from (("parts", part.draw) for part in wing.parts)
    yield from (("places", place.count) for place in wing.places if place.count)
    yield from (("duties", one.find) for one in wing.duties)
    yield from (("searches", one.find) for one in wing.searches)
    yield from (("figures", path) for path in wing.figures)
    yield from (("beside", one.answer) for one in wing.beside)
