"""Hearing of the catalog, inside the transaction in which it changes."""

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog import facts as catalog
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on
from mainstay.observe.checks.actions import remove_checks_of


@on(catalog.APPLICATION_REMOVED)
def an_application_was_removed(entry: Entry) -> None:
    """Its checks go one by one, so that whoever listens for a removed check (an open alert) hears of each."""
    remove_checks_of(int(entry.subject.partition(":")[2]), Actor(entry.actor, entry.actor_name), entry.at)
