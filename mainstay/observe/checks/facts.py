"""The kinds of facts that checks put into the journal."""

from mainstay.foundation.journal.kinds import Instant, declare

CHECK_CREATED = declare("check.created", "{subject} **was added**: {kind}, {target}", kind=str, target=str)
CHECK_EDITED = declare("check.edited", "{subject} **was edited**: {fields}", fields=list)
CHECK_REMOVED = declare("check.removed", "{subject} was removed")
CHECK_PAUSED = declare("check.paused", "{subject} was paused")
CHECK_RESUMED = declare("check.resumed", "{subject} was resumed")
CHECK_RESET = declare("check.reset", "{subject} starts anew: {reason}", reason=str)
CHECK_CHANGED = declare(
    "check.changed",
    "{subject} went from {was} to {health}: {message}",
    tone={"up": "ok", "degraded": "warn", "down": "bad"},
    was=str,
    health=str,
    message=str,
    first_bad_at=str,
)
CHECK_FLAPPING = declare("check.flapping", "{subject} is flapping: {message}", tone="warn", message=str)
CHECK_SETTLED = declare("check.settled", "{subject} stopped flapping")
CHECK_BLOCKED = declare("check.blocked", "{subject} is unreachable: {parent}, which it needs, is down", parent=str)
CHECK_UNBLOCKED = declare("check.unblocked", "{subject} is no longer unreachable")
MAINTENANCE_ANNOUNCED = declare(
    "maintenance.announced",
    "Maintenance {subject} was announced: {when}",
    when=str,
    starts_at=Instant,
    ends_at=Instant,
)
MAINTENANCE_CANCELLED = declare("maintenance.cancelled", "Maintenance {subject} was cancelled")
