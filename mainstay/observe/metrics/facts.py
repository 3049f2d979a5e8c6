"""The kinds of facts that scrapes put into the journal."""

from mainstay.foundation.journal.kinds import declare

SCRAPE_CREATED = declare("scrape.created", "The scrape {subject} was added: {target}", target=str)
SCRAPE_EDITED = declare("scrape.edited", "The scrape {subject} was edited: {fields}", fields=list)
SCRAPE_REMOVED = declare("scrape.removed", "The scrape {subject} was removed")
SCRAPE_PAUSED = declare("scrape.paused", "The scrape {subject} was paused")
SCRAPE_RESUMED = declare("scrape.resumed", "The scrape {subject} was resumed")
