"""The kinds of facts that rules put into the journal."""

from mainstay.foundation.journal.kinds import declare

GROUP_CREATED = declare("rules.created", "The rules {subject} were added: {rules}", rules=list)
GROUP_EDITED = declare("rules.edited", "The rules {subject} were edited: {changes}", changes=list)
GROUP_REMOVED = declare("rules.removed", "The rules {subject} were removed")
RULE_HEALTH = declare("rule.health", "The rule {subject} is {health}: {reason}", was=str, health=str, reason=str)
INSTANCE_PENDING = declare(
    "rule.pending", "{subject} is pending: {reason}", labels=dict, value=(float, str), reason=str
)
INSTANCE_DROPPED = declare("rule.inactive", "{subject} is no longer pending: {reason}", labels=dict, reason=str)
