"""Changes of channels, maintenance and the catalog that let alerts be decided on again, in the same transaction."""

from mainstay.foundation.catalog import facts as catalog
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on
from mainstay.observe.checks import facts as checks
from mainstay.respond.alerts.actions import fell_back, look_now
from mainstay.respond.alerts.decide import Code
from mainstay.respond.delivery import facts as delivery

_OF_OTHERS = (Code.UNREACHABLE, Code.WAITING_FOR_NEEDED, Code.MAINTENANCE)


@on(catalog.APPLICATION_EDITED)
def an_application_was_edited(entry: Entry) -> None:
    """Its components may need others now."""
    look_now(entry.at, *_OF_OTHERS)


@on(catalog.APPLICATION_REMOVED)
def an_application_was_removed(entry: Entry) -> None:
    """Its components and its maintenance go with it."""
    look_now(entry.at, *_OF_OTHERS)


@on(checks.MAINTENANCE_ANNOUNCED)
def maintenance_was_announced(entry: Entry) -> None:
    """It may have been changed, and cover less than before."""
    look_now(entry.at, Code.MAINTENANCE)


@on(checks.MAINTENANCE_CANCELLED)
def maintenance_was_cancelled(entry: Entry) -> None:
    """What it held may page at once."""
    look_now(entry.at, Code.MAINTENANCE)


@on(delivery.CHANNEL_CREATED)
def a_channel_was_added(entry: Entry) -> None:
    """What had no channel may have one."""
    look_now(entry.at, Code.NO_CHANNEL)


@on(delivery.CHANNEL_EDITED)
def a_channel_was_edited(entry: Entry) -> None:
    """Its name may be one that routes have."""
    look_now(entry.at, Code.NO_CHANNEL)


@on(delivery.PAGE_FELL_BACK)
def a_page_fell_back(entry: Entry) -> None:
    """Who is paged in another's place hears of acknowledgement and resolution, too."""
    kind, _, number = entry.subject.partition(":")
    if kind == "alert":
        fell_back(int(number), entry.facts["to"], entry.at)
