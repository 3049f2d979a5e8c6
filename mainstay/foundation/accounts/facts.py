"""The kinds of facts that accounts put into the journal."""

from mainstay.foundation.journal.kinds import declare

USER_CREATED = declare("user.created", "{subject} **was added** as {role}", role=str)
USER_EDITED = declare("user.edited", "{subject} **was edited**: {fields}", fields=list)
USER_DEACTIVATED = declare("user.deactivated", "{subject} **was deactivated** and signed out everywhere")
USER_REACTIVATED = declare("user.reactivated", "{subject} **was reactivated** as {role}", role=str)
USER_SIGNED_IN = declare("user.signed_in", "{subject} **signed in** by {method}", method=str)
USER_SIGN_IN_FAILED = declare("user.sign_in_failed", "**A sign-in** as {subject} failed", tone="warn", address=str)
SIGN_IN_LINK_MADE = declare("user.link_made", "**A one-time sign-in link** for {subject} was made")
SESSION_REVOKED = declare("session.revoked", "**A session** of {subject} was revoked")
TEAM_CREATED = declare("team.created", "Team {subject} **was added**")
TEAM_EDITED = declare("team.edited", "Team {subject} **was edited**: {fields}", fields=list)
TEAM_REMOVED = declare("team.removed", "Team {subject} was removed")
TOKEN_CREATED = declare(
    "token.created", "Token {subject} was created as {role}, expires {expires}", role=str, expires=str
)
TOKEN_REVOKED = declare("token.revoked", "Token {subject} was revoked")
