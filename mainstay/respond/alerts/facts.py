"""The kinds of facts that alerts put into the journal."""

from mainstay.foundation.journal.kinds import Instant, declare

ALERT_FIRED = declare(
    "alert.fired", "Alert {subject} fired ({severity}): {summary}", tone="bad", severity=str, summary=str
)
ALERT_RAISED = declare(
    "alert.raised",
    "Alert {subject} rose from {was} to {severity}: {summary}",
    tone="bad",
    was=str,
    severity=str,
    summary=str,
)
ALERT_RESOLVED = declare(
    "alert.resolved", "Alert {subject} resolved after {minutes} min: {reason}", tone="ok", minutes=float, reason=str
)
ALERT_ACKNOWLEDGED = declare(
    "alert.acknowledged", "Alert {subject} **was acknowledged** {note}", tone="accent", note=str
)
ALERT_UNACKNOWLEDGED = declare("alert.unacknowledged", "Alert {subject} **is no longer acknowledged**")
ALERT_PAGED = declare(
    "alert.paged",
    "Alert {subject} pages {channels} ({event}): {reason}",
    tone="warn",
    event=str,
    channels=list,
    reason=str,
    code=str,
    steps=list,
)
ALERT_HELD = declare("alert.held", "Alert {subject} **does not page**: {reason}", reason=str, code=str, steps=list)
SILENCE_CREATED = declare(
    "silence.created",
    "Silence {subject}: {matchers} until {until}, {comment} {ticket}",
    matchers=str,
    until=Instant,
    comment=str,
    ticket=str,
)
SILENCE_ENDED = declare("silence.ended", "Silence {subject} was ended early")
ROUTE_CREATED = declare("route.created", "Route {subject} **was added**: {match} to {notify}", match=str, notify=list)
ROUTE_EDITED = declare("route.edited", "Route {subject} **was edited**: {fields}", fields=list)
ROUTES_ARRANGED = declare("route.arranged", "The file {subject} put routes in another order: {moved}", moved=list)
ROUTE_REMOVED = declare("route.removed", "Route {subject} was removed")
