"""Pages that several wings share: their regions are drawn by the parts that wings name.

A part that fails, its template included, costs only itself; the page says that something is missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString, mark_safe

from mainstay.foundation.accounts.access import actor_of
from mainstay.foundation.guarded import guarded
from mainstay.foundation.parts import PARTS, Drawn, Fact, Sentence
from mainstay.foundation.wing import Part

MISSING = Sentence(40, "Part of this page is missing.")
"""Graver than that nothing is wrong, which nobody knows then."""


def ask(path: str, *given: Any, of: type | None = None, otherwise: Sequence[Any] = ()) -> Sequence[Any]:
    """Return what the part at this dotted path answers, or `otherwise` when it fails.

    Args:
        of: what each answer must be an instance of.

    Raises:
        DatabaseError: nothing could be read, by any part.
    """

    def answer() -> Sequence[Any]:
        found: Iterable[Any] = import_string(path)(*given)
        answers = list(found)
        if of is not None and (wrong := next((one for one in answers if not isinstance(one, of)), None)):
            raise TypeError(f"{type(wrong).__name__} is no {of.__name__}")
        return answers

    return guarded(path, answer, otherwise)


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
    asked = [(part, _asked(part, request, now, *given)) for part in parts]
    every: list[tuple[Part, Drawn]] = [(part, one) for part, found in asked for one in found or ()]
    crowded = any(one.template and not one.alone for _, one in every)
    html = [_rendered(part, one, request, now) for part, one in every if one.template and not (one.alone and crowded)]
    whole = all(found is not None for _, found in asked) and None not in html
    said = [one.says for _, one in every if one.says is not None]
    if not whole:
        said.append(MISSING)
        html.append(render_to_string("components/missing.html", request=request))
    return Region(
        mark_safe("\n".join(filter(None, html))),  # noqa: S308 - rendered by templates
        min(said, key=lambda sentence: sentence.rank).text if said else "",
        [fact for _, one in every for fact in one.facts],
    )


def _asked(part: Part, request: HttpRequest, now: datetime, *given: Any) -> list[Drawn] | None:
    """Return what a part draws; None when it fails."""

    def answer() -> list[Drawn]:
        return [_checked(one) for one in import_string(part.draw)(request, now, *given)]

    return guarded(part.draw, answer, None)


def _checked(one: object) -> Drawn:
    """Return what a part yielded. The page puts together what all parts say, so a wrong type would cost them all."""
    if not isinstance(one, Drawn):
        raise TypeError(f"it yields {type(one).__name__}, not Drawn")
    if one.says is not None and not (isinstance(one.says, Sentence) and isinstance(one.says.rank, int)):
        raise TypeError("what it says is no Sentence with a rank")
    if not (isinstance(one.facts, tuple) and all(isinstance(fact, Fact) for fact in one.facts)):
        raise TypeError("its facts are no tuple of Fact")
    return one


def _rendered(part: Part, one: Drawn, request: HttpRequest, now: datetime) -> str | None:
    def render() -> str:
        return render_to_string(one.template, {"now": now, **one.context}, request)

    return guarded(f"{part.draw}: {one.template}", render, None)
