"""Pages that several wings share: their regions are drawn by the parts that wings name.

A part that fails, its template included, costs only itself.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, TypeVar

from django.db import DatabaseError
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString, mark_safe

from mainstay.foundation.accounts.access import actor_of
from mainstay.foundation.parts import PARTS, Drawn, Fact
from mainstay.foundation.wing import Part

log = logging.getLogger("mainstay.web")
SLOW_S = 1.0
T = TypeVar("T")


def ask(path: str, *given: Any, otherwise: Sequence[Any] = ()) -> Sequence[Any]:
    """Return what the part at this dotted path answers, or `otherwise` when it fails.

    Raises:
        DatabaseError: nothing could be read, by any part.
    """

    def answer() -> Sequence[Any]:
        found: Iterable[Any] = import_string(path)(*given)
        return list(found)

    return _guarded(path, answer, otherwise)


@dataclass(frozen=True, slots=True)
class Region:
    """What the parts of a region of a page draw and say.

    Attributes:
        says: the gravest sentence; "" when none says any.
    """

    html: SafeString
    says: str
    facts: list[Fact]


def region(page: str, name: str, request: HttpRequest, now: datetime, *given: Any) -> Region:
    """Draw the parts of a page's region that the person may see.

    Args:
        given: what else the parts of this page get.

    Raises:
        DatabaseError: nothing could be read, by any part.
    """
    actor = actor_of(request)
    parts = [part for part in PARTS if (part.page, part.region) == (page, name) and actor.may(part.needs)]
    every: list[tuple[Part, Drawn]] = [(part, one) for part in parts for one in ask(part.draw, request, now, *given)]
    crowded = any(one.template and not one.alone for _, one in every)
    html = [_rendered(part, one, request, now) for part, one in every if one.template and not (one.alone and crowded)]
    said = [one.says for _, one in every if one.says is not None]
    return Region(
        mark_safe("\n".join(html)),  # noqa: S308 - rendered by templates
        min(said, key=lambda sentence: sentence.rank).text if said else "",
        [fact for _, one in every for fact in one.facts],
    )


def _rendered(part: Part, one: Drawn, request: HttpRequest, now: datetime) -> str:
    def render() -> str:
        return render_to_string(one.template, {"now": now, **one.context}, request)

    return _guarded(f"{part.draw}: {one.template}", render, "")


def _guarded(what: str, do: Callable[[], T], otherwise: T) -> T:
    began = perf_counter()
    try:
        return do()
    except DatabaseError:
        raise
    except Exception:
        log.exception("%s failed; what it would have told is left out", what)
        return otherwise
    finally:
        if (took_s := perf_counter() - began) > SLOW_S:
            log.warning("%s took %.1f s", what, took_s)
