"""The kinds of facts that scrapes put into the journal."""

from mainstay.foundation.journal.kinds import declare

SCRAPE_CREATED = declare("scrape.created", "{subject} **was added**: a scrape of {target}", target=str)
SCRAPE_EDITED = declare("scrape.edited", "{subject} **was edited**: {fields}", fields=list)
SCRAPE_REMOVED = declare("scrape.removed", "{subject} was removed: a scrape")
SCRAPE_PAUSED = declare("scrape.paused", "{subject} was paused: nothing is scraped")
SCRAPE_RESUMED = declare("scrape.resumed", "{subject} was resumed: it is scraped again")
