"""What raises alerts: for each kind of source, what stands around it when paging is decided, and what its page shows.

An alert's source begins with a word ("check:12", "rule:12:5f0c…"). Whoever raises such alerts registers under that word
when its app is ready; decisions and pages ask here and name no source themselves. What pages show is named by a dotted
path, so that the monitor and the worker load no page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from django.utils.module_loading import import_string

from mainstay.observe.checks.windows import Cover, Window, covering
from mainstay.respond.alerts.models import Alert


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of what is known: its name, its text, where it leads, and whether it is to be read letter by letter."""

    label: str
    text: str
    href: str = ""
    mono: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What may keep an alert from paging: the window that covers it, and something that its source needs.

    The members of `AlertFacts` of the same names say what each means.
    """

    cover: Cover | None = None
    blocked_by: str = ""
    waits_for: str = ""
    back: str = ""
    back_at: datetime | None = None
    needed: int | None = None


ContextOf = Callable[[Alert, datetime], Context]


def in_windows(_alerts: Sequence[Alert], windows: Sequence[Window]) -> ContextOf:
    """Return what stands around alerts whose source needs nothing else: windows, by the labels they fired with."""
    return lambda alert, now: Context(covering(windows, alert.application_id, alert.labels, now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One kind of source.

    Args:
        word: what raised it, as people call it: "rule".
        context: reads what stands around alerts of this kind, once for all that are decided on together.
        loads: what `context` follows of an alert, to be loaded with it (`select_related`).
        shown: the dotted path of a `Shown`; "" shows nothing.
    """

    word: str = ""
    context: Callable[[Sequence[Alert], Sequence[Window]], ContextOf] = in_windows
    loads: tuple[str, ...] = ()
    shown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What pages show of alerts of one kind of source.

    Args:
        link: the page of what raised it; empty when there is none.
        facts: what is known of it, such as its value.
        chart: the address of a fragment that draws its value around the alert.
        drawing: the same as HTML that is at hand at once; the page asks for it again and again.
        telling: whether "silence like this" ticks a label at first.
    """

    link: Callable[[Alert], str] = lambda _alert: ""
    facts: Callable[[Alert], Sequence[Fact]] = lambda _alert: ()
    chart: Callable[[Alert], str] = lambda _alert: ""
    drawing: Callable[[Alert, datetime, tzinfo], str] = lambda _alert, _now, _zone: ""
    telling: Callable[[str], bool] = lambda label: label != "severity"


ORIGINS: dict[str, Origin] = {}
"""By the first word of a source."""

_OTHER, _NOTHING = Origin(), Shown()


def word_of(source: str) -> str:
    """Return the word by which the kind of a source is registered."""
    return source.partition(":")[0]


def of(alert: Alert) -> Origin:
    """Return what is registered for an alert's source; one that shows nothing where nothing is."""
    return ORIGINS.get(word_of(alert.source), _OTHER)


def shown(alert: Alert) -> Shown:
    """Return what pages show of an alert's source."""
    path = of(alert).shown
    found: Shown = import_string(path) if path else _NOTHING
    return found


def link(alert: Alert) -> tuple[str, str]:
    """Return the word for what raised an alert and the address of its page; empty where nothing is registered."""
    return of(alert).word, shown(alert).link(alert)


def loads() -> list[str]:
    """Return what alerts are loaded with when they are to be decided on, whatever raised them."""
    return sorted({"application", *(path for origin in ORIGINS.values() for path in origin.loads)})
