"""Hearing of the catalog, inside the transaction in which it changes."""

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog import facts as catalog
from mainstay.foundation.catalog.actions import before_removal
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on
from mainstay.observe.checks.actions import clear_checks_of, remove_checks_of

before_removal(clear_checks_of)


@on(catalog.APPLICATION_REMOVED)
def an_application_was_removed(entry: Entry) -> None:
    """What checks it still has go as any other, so that whoever listens for a removed check hears of each."""
    remove_checks_of(int(entry.subject.partition(":")[2]), Actor(entry.actor, entry.actor_name), entry.at)
