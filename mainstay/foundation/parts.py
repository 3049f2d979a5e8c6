"""What wings give to the pages and commands that compose all of them: each a small value."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.foundation.terminal import moment

FOUND_MOST = 6
"""Things of one kind that Ctrl K shows."""


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
