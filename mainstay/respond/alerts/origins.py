"""What raised an alert, other than a check: how its page finds out what to show of it.

An alert's source begins with a word ("rule:12:5f0c…"). Whoever raises such alerts registers here, when its app is
ready, what the pages of alerts show for that word; this wing knows none of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mainstay.respond.alerts.models import Alert


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of what is known: its name, its text, and where it leads."""

    label: str
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """What pages show of the alerts of one kind of source.

    Args:
        word: what raised it, as people call it: "rule".
        link: the page of it.
        chart: the address of a fragment that draws its value around the alert.
        facts: what else is known of it, such as its value.
    """

    word: str
    link: Callable[[Alert], str]
    chart: Callable[[Alert], str]
    facts: Callable[[Alert], Sequence[Fact]]


ORIGINS: dict[str, Origin] = {}
"""By the first word of a source."""


def of(alert: Alert) -> Origin | None:
    """Return what is registered for an alert's source, or None."""
    return ORIGINS.get(alert.source.partition(":")[0])


def link(alert: Alert) -> tuple[str, str]:
    """Return the word for what raised an alert and the address of its page; empty where nothing is registered."""
    origin = of(alert)
    return (origin.word, origin.link(alert)) if origin is not None else ("", "")
