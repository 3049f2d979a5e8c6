"""The kinds of facts that contracts put into the journal."""

from mainstay.foundation.journal.kinds import declare

CONTRACT_CREATED = declare("contract.created", "{subject} **was signed** with {vendor}", vendor=str)
CONTRACT_EDITED = declare("contract.edited", "{subject} **was edited**: {fields}", fields=list)
CONTRACT_REMOVED = declare("contract.removed", "{subject} was removed: a contract")
CONTRACT_ENDED = declare("contract.ended", "{subject} **is over**", tone="bad")
CONTRACT_CALLED = declare("contract.called", "{subject} **was called**: {note}", note=str)
