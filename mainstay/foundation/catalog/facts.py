"""The kinds of facts that the catalog puts into the journal."""

from mainstay.foundation.journal.kinds import declare

APPLICATION_CREATED = declare("application.created", "Application {subject} **was added**, tier {tier}", tier=str)
APPLICATION_EDITED = declare("application.edited", "Application {subject} **was edited**: {fields}", fields=list)
APPLICATION_REMOVED = declare("application.removed", "Application {subject} was removed")
