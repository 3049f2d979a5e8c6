"""A message as Slack shows it: a fallback text and one coloured attachment of Block Kit blocks.

Limits: https://docs.slack.dev/reference/block-kit/blocks, /messaging/formatting-message-text (escaping).
"""

from typing import Any

from mainstay.foundation.text import is_web_link
from mainstay.respond.delivery.kinds import wording
from mainstay.respond.delivery.message import Event, Message

TEXT_LIMIT = 3000
FIELD_LIMIT = 2000
FIELDS_LIMIT = 10
CONTEXT_LIMIT = 2000
BLOCKS_LIMIT = 50
URL_LIMIT = 3000

_COLOURS = {"critical": "#c62828", "major": "#ef6c00", "minor": "#f9a825"}
_ACKNOWLEDGED = "#1565c0"
_RESOLVED = "#2e7d32"
_TEST = "#607d8b"

# A shape beside the colour: colour alone is not readable for everybody.
_SIGNS = {Event.ACKNOWLEDGE: "👀", Event.RESOLVE: "✅", Event.TEST: "🔧"}
_SEVERITY_SIGNS = {"critical": "🔴", "major": "🟠", "minor": "🟡"}


def escape(text: str) -> str:
    """`text` as Slack's mrkdwn shows it literally: without `<`, no mention, link or channel can be formed."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped_within(text: str, limit: int) -> str:
    """`text` escaped, cut so that the *escaped* form has at most `limit` UTF-16 units (Slack counts as JavaScript)."""
    room = limit
    while True:
        shown = escape(wording.shorten(text, room))
        length = _utf16_units(shown)
        if length <= limit:
            return shown
        room = max(1, min(room - 1, room * limit // length))


def fallback(message: Message) -> str:
    """The one line for notifications and screen readers, escaped."""
    sign = _SIGNS.get(message.event) or _SEVERITY_SIGNS[message.severity]
    return f"{sign} {escaped_within(wording.headline(message), TEXT_LIMIT - 3)}"


def colour(message: Message) -> str:
    """The colour of the bar beside the message."""
    match message.event:
        case Event.ACKNOWLEDGE:
            return _ACKNOWLEDGED
        case Event.RESOLVE:
            return _RESOLVED
        case Event.TEST:
            return _TEST
        case _:
            return _COLOURS[message.severity]


def attachment(message: Message) -> dict[str, Any]:
    """The attachment with everything below the headline."""
    blocks: list[dict[str, Any]] = []
    if text := message.text.strip():
        blocks.append({"type": "section", "text": _mrkdwn(escaped_within(text, TEXT_LIMIT))})
    fields = [
        _mrkdwn(f"*{name}*\n{escaped_within(value, FIELD_LIMIT - 40)}")
        for name, value in wording.facts(message)[:FIELDS_LIMIT]
    ]
    blocks.append({"type": "section", "fields": fields})
    notes = []
    if message.labels:
        labels = " · ".join(f"{name}={value}" for name, value in wording.label_lines(message))
        notes.append(_mrkdwn(escaped_within(labels, CONTEXT_LIMIT)))
    if reason := wording.one_line(message.reason):
        notes.append(_mrkdwn(f"Why this message: {escaped_within(reason, CONTEXT_LIMIT - 20)}"))
    if notes:
        blocks.append({"type": "context", "elements": notes})
    if buttons := _buttons(message):
        blocks.append({"type": "actions", "elements": buttons})
    return {"color": colour(message), "blocks": blocks}


def _buttons(message: Message) -> list[dict[str, Any]]:
    buttons: list[dict[str, Any]] = []
    open_for_acknowledgement = message.event in {Event.TRIGGER, Event.REMIND}
    if open_for_acknowledgement and is_web_link(message.acknowledge_url, URL_LIMIT):
        buttons.append(_link_button("acknowledge", "Acknowledge", str(message.acknowledge_url)) | {"style": "primary"})
    if is_web_link(message.url, URL_LIMIT):
        buttons.append(_link_button("open", wording.link_text(message), message.url))
    return buttons


def _link_button(action: str, text: str, url: str) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "text": {"type": "plain_text", "text": text}, "url": url}


def _mrkdwn(text: str) -> dict[str, Any]:
    # verbatim: Slack must not turn "@here" or "#general" in somebody's error text into mentions and links.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
