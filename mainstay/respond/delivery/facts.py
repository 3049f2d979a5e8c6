"""The kinds of facts that delivery puts into the journal."""

from mainstay.foundation.journal.kinds import declare

CHANNEL_CREATED = declare("channel.created", "Channel {subject} **was added**: {kind}, {target}", kind=str, target=str)
CHANNEL_EDITED = declare("channel.edited", "Channel {subject} **was edited**: {fields}", fields=list)
CHANNEL_REMOVED = declare("channel.removed", "Channel {subject} was removed")
PAGE_DELIVERED = declare(
    "page.delivered",
    "{subject}: {event} delivered to {channel} after {seconds} s, attempt {attempt}",
    tone="ok",
    event=str,
    channel=str,
    seconds=float,
    attempt=int,
    delivery=int,
)
PAGE_FAILING = declare(
    "page.failing",
    "{subject}: {event} does not reach {channel}: {answer}",
    tone="bad",
    event=str,
    channel=str,
    answer=str,
    attempt=int,
    delivery=int,
)
PAGE_FELL_BACK = declare(
    "page.fell_back",
    "{subject}: {event} also goes to {to}, since {channel} does not answer",
    tone="warn",
    event=str,
    channel=str,
    to=str,
    delivery=int,
)
PAGE_WITHDRAWN = declare(
    "page.withdrawn",
    "{subject}: {event} to {channel} was withdrawn: {reason}",
    tone="warn",
    event=str,
    channel=str,
    reason=str,
    delivery=int,
)
PAGE_GROUPED = declare(
    "page.grouped",
    "{subject}: one message to {channel} tells {alerts} alerts ({event}): {says}",
    tone="warn",
    event=str,
    channel=str,
    alerts=int,
    says=str,
    delivery=int,
)
