"""What wings give to the pages and commands that compose all of them: each a small value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstay.foundation.terminal import moment
from mainstay.foundation.wing import Part

PARTS: list[Part] = []
"""The parts of all wings, in their order; the desk fills it."""

FOUND_MOST = 6
"""Things of one kind that Ctrl K shows."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a page could say first: it says the one with the smallest rank.

    On Now: below 10 Mainstay itself does not work, 20 somebody is paged, 30 somebody should be, 90 there is nothing.
    """

    rank: int
    text: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A few words below the first sentence, and where they lead."""

    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A part of a page.

    Attributes:
        template: what draws it, with `context`; "" when it only speaks.
        alone: it is drawn only where no other part of its region is.
    """

    template: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    says: Sentence | None = None
    facts: tuple[Fact, ...] = ()
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Duty:
    """One thing that somebody is to do: what, where, why, and how it shows (a state's name and its word)."""

    title: str
    href: str
    detail: str
    state: str
    word: str


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that Ctrl K found."""

    href: str
    title: str
    detail: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `mainstay status`."""

    wrong: bool
    name: str
    state: str
    detail: str
    since: datetime | None = None

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        since = moment(self.since) if self.since else None
        return {"name": self.name, "state": self.state, "detail": self.detail, "since": since, "wrong": self.wrong}
