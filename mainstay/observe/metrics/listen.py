"""Hearing of the catalog, inside the transaction in which it changes."""

from mainstay.foundation.catalog import facts as catalog
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on
from mainstay.foundation.processes.models import Revision
from mainstay.observe.metrics.actions import REVISION


@on(catalog.APPLICATION_REMOVED)
def an_application_was_removed(entry: Entry) -> None:
    """Its scrapes stay, without the labels that named it: the monitor has to read them again."""
    Revision.bump(REVISION)


@on(catalog.APPLICATION_EDITED)
def an_application_was_edited(entry: Entry) -> None:
    """Its name, or an environment's, may be a label of series."""
    Revision.bump(REVISION)
