"""What a wing is to whoever composes all of them: one value, named in `mainstay/wings.py`.

Nothing here is loaded before it is asked for: what has code is named by a dotted path, which the composer resolves. So
the list can be read without Django, by any process.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, Permission, Role

Group = Literal["first", "Observe", "Respond", "last", "below"]
GROUPS: tuple[Group, ...] = ("first", "Observe", "Respond", "last", "below")
"""The headings of the navigation, in their order; those in lower case are not written."""
REGIONS: Mapping[str, tuple[str, ...]] = {
    "now": ("live", "fleet", "side", "buttons"),
    "application": ("live", "recent", "buttons", "below", "side"),
    "check": ("live", "latest"),
    "channel": ("side",),
    "group": ("links",),
}
"""The regions of each page that wings share."""
PROCESSES = ("monitor", "worker")
"""The processes that run cycles."""


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the navigation and of Ctrl K.

    Attributes:
        label: what it is called.
        url: the name of its address.
        group: where it stands: of `GROUPS`.
        at: its position there, the smallest first.
        icon: a file of the kit's icons; "" for a page that only Ctrl K knows.
        key: opens it after `g`.
        words: further words that it answers to in Ctrl K.
        bottom: also in the bar of small screens.
        count: what is counted beside its label, as a dotted path of `() -> int`; 0 shows nothing.
    """

    label: str
    url: str
    group: Group
    at: int
    icon: str = ""
    key: str = ""
    words: str = ""
    bottom: bool = False
    count: str = ""

    def __post_init__(self) -> None:
        _need("group", self.group, GROUPS, f'the place "{self.label}"')


@dataclass(frozen=True, slots=True)
class Action:
    """Something to be done, or a list with a filter, that Ctrl K offers."""

    title: str
    url: str
    words: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How a state shows: its word, its colour's role, its shape as a character for plain text, and what it means."""

    word: str
    tone: str
    glyph: str
    meaning: str


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """Where a subject of the journal is shown.

    Attributes:
        url: the name of the page's address. It is open to whoever sees the journal.
        by: what tells the subject there: its id or its name in the address, a row (#), a filter (?), nothing ("").
    """

    url: str
    by: Literal["id", "name", "#", "?", ""] = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page that several wings share.

    Attributes:
        page: "now", or that of an "application", a "check", a "channel", a "group".
        region: where it stands: what of the page is drawn anew together.
        at: its position there, the smallest first.
        draw: dotted path of `(request, now) -> Iterable[Drawn]`; where the page is of one thing, that is given, too.
        needs: which permission it takes to see it.
    """

    page: str
    region: str
    at: int
    draw: str
    needs: Permission = OPERATIONS_VIEW

    def __post_init__(self) -> None:
        _need("page", self.page, REGIONS, f'the part "{self.draw}"')
        _need("region", self.region, REGIONS[self.page], f'the part "{self.draw}" of the page "{self.page}"')


@dataclass(frozen=True, slots=True)
class Duties:
    """What a wing finds for people to do.

    Attributes:
        find: dotted path of `(user, now) -> Iterable[Duty]`: one query, the newest few.
        at: for which roles, and at which position among their duties, the smallest first.
    """

    find: str
    at: Mapping[Role, int]


@dataclass(frozen=True, slots=True)
class Search:
    """What Ctrl K finds of a wing.

    Attributes:
        label: the heading of the group.
        find: dotted path of `(words, actor) -> Iterable[Found]`: one query, the newest few.
    """

    label: str
    find: str
    needs: Permission
    at: int


@dataclass(frozen=True, slots=True)
class Report:
    """A part of `mainstay status`.

    Attributes:
        name: its heading, and its key with `--json`.
        find: dotted path of `(now) -> Iterable[Finding]`.
    """

    name: str
    find: str
    at: int


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand of `mainstay`.

    Attributes:
        module: where `add_arguments(parser)` and `run(args) -> exit status` are.
        help: what it is for.
        django: whether it needs models, and so the database settings.
        serves: it goes on whatever becomes of its log.
    """

    module: str
    help: str
    django: bool = True
    serves: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """What answers requests in the web process beside Django, so that no page can keep them waiting.

    Attributes:
        prefix: of the paths that it answers.
        answer: dotted path of a `BesideDjango` (desk/asgi.py), made from `Limits`.
        fact: what beats of the web process call it that it takes what comes now.
    """

    prefix: str
    answer: str
    fact: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What a wing keeps in files of its own, for backups.

    Attributes:
        folder: its name, and that of the folder below `MAINSTAY_HOME`.
        copy: dotted path of `(environment, key, folder) -> str`: copies it below `folder`, returns "copied" or why
            there is nothing to copy, and raises `NotCopied`.
    """

    folder: str
    copy: str


@dataclass(frozen=True, slots=True)
class Wing:
    """One wing.

    Attributes:
        app: the Django application, as a dotted path.
        urls: the module of its addresses.
        routers: its parts of the API, each a dotted path of a router.
        places: its pages in the navigation and Ctrl K.
        actions: what else Ctrl K offers of it.
        states: how its states show, by name.
        subjects: what its journal entries are about, by type, with their pages.
        permissions: what it lets people do, for those who hold them.
        resources: what people configure of it, each a dotted path of a `Resource`.
        parts: its parts of Now and of an application's page.
        duties: what it finds for people to do.
        searches: what Ctrl K finds of it.
        reports: its parts of `mainstay status`.
        figures: its parts of `/metrics`, each a dotted path of `(now) -> Iterable[Metric]`.
        cycles: its cycles and loops, in the "monitor" or the "worker": the dotted path of
            `(environment, works) -> Work`; `works` are those of lower wings.
        commands: its subcommands of `mainstay`, by name.
        beside: what it answers beside Django.
        slow: patterns of its addresses that may take half a minute, so that no page waits behind them.
        kept: what it keeps in files of its own.
    """

    app: str
    urls: str = ""
    routers: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    actions: tuple[Action, ...] = ()
    states: Mapping[str, Look] = field(default_factory=dict)
    subjects: Mapping[str, SubjectPage] = field(default_factory=dict)
    permissions: tuple[Permission, ...] = ()
    resources: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    duties: tuple[Duties, ...] = ()
    searches: tuple[Search, ...] = ()
    reports: tuple[Report, ...] = ()
    figures: tuple[str, ...] = ()
    cycles: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, Command] = field(default_factory=dict)
    beside: tuple[Beside, ...] = ()
    slow: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()

    def __post_init__(self) -> None:
        for role in self.cycles:
            _need("process", role, PROCESSES, f"a cycle of the wing {self.app}")


def _need(what: str, given: str, known: Iterable[str], whose: str) -> None:
    """Raise ValueError unless what a wing says is known: otherwise it would vanish without a word."""
    if given not in known:
        raise ValueError(f'{whose} has the {what} "{given}"; write one of: {", ".join(known)}')
