"""The kinds of facts that rules put into the journal. Alerts that they raise are told by the alerts' own."""

from mainstay.foundation.journal.kinds import declare

GROUP_CREATED = declare("rules.created", "The rules {subject} were added: {rules}", rules=list)
GROUP_EDITED = declare("rules.edited", "The rules {subject} were edited: {changes}", changes=list)
GROUP_REMOVED = declare("rules.removed", "The rules {subject} were removed")
RULE_HEALTH = declare(
    "rule.health", "The rule {subject} went from {was} to {health}: {reason}", was=str, health=str, reason=str
)
