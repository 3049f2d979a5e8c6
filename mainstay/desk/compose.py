"""Loads what wings give to pages, so that no request has to."""

from django.utils.module_loading import import_string

from mainstay.wings import WINGS


def load() -> None:
    """Resolve every dotted path that requests follow."""
    for wing in WINGS:
        drawn = [part.draw for part in wing.parts] + [place.count for place in wing.places if place.count]
        found = [one.find for one in wing.duties] + [one.find for one in wing.searches]
        for path in (*drawn, *found, *wing.figures):
            import_string(path)
