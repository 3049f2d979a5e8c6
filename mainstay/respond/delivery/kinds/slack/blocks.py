"""A message as Slack shows it: a fallback text and one coloured attachment of Block Kit blocks.

Limits: https://docs.slack.dev/reference/block-kit/blocks, /messaging/formatting-message-text (escaping).
"""

import re
from typing import Any

from mainstay.respond.delivery.kinds import wording
from mainstay.respond.delivery.message import Message

TEXT_LIMIT = 3000
FIELD_LIMIT = 2000
CONTEXT_LIMIT = 2000
BLOCKS_LIMIT = 50
URL_LIMIT = 3000

_COLOURS = {
    "critical": "#c62828", "major": "#ef6c00", "minor": "#f9a825",
    "acknowledged": "#1565c0", "resolved": "#2e7d32", "test": "#607d8b",
}  # fmt: skip
# A shape beside the colour: colour alone is not readable for everybody.
_EMOJI = re.compile(r":(?=[\w+'-]+:)")
_SIGNS = {"critical": "🔴", "major": "🟠", "minor": "🟡", "acknowledged": "👀", "resolved": "✅", "test": "🔧"}


def escape(text: str) -> str:
    """`text` without Slack's control characters, in every kind of text: no mention, link or channel can be formed."""
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
    """The headline, for notifications and screen readers, too; to be sent with `mrkdwn: false`.

    Slack makes emoji of `:wave:` there all the same, so a word joiner, which nobody sees, stands within.
    """
    line = _EMOJI.sub(":\u2060", wording.shorten(wording.headline(message), TEXT_LIMIT - 300))
    return f"{_SIGNS[wording.tone(message)]} {escaped_within(line, TEXT_LIMIT - 3)}"


def colour(message: Message) -> str:
    """The colour of the bar beside the message."""
    return _COLOURS[wording.tone(message)]


def attachment(message: Message) -> dict[str, Any]:
    """The attachment with everything below the headline."""
    blocks: list[dict[str, Any]] = []
    if text := message.text.strip():
        blocks.append({"type": "section", "text": _plain(escaped_within(text, TEXT_LIMIT))})
    fields = [_field(name, value) for name, value in wording.facts(message)]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    notes = []
    if labels := " · ".join(f"{name}={value}" for name, value in wording.label_lines(message)):
        notes.append(_plain(escaped_within(labels, CONTEXT_LIMIT)))
    if reason := wording.one_line(message.reason):
        notes.append(_plain(f"Why this message: {escaped_within(reason, CONTEXT_LIMIT - 20)}"))
    if notes:
        blocks.append({"type": "context", "elements": notes})
    if buttons := _buttons(message):
        blocks.append({"type": "actions", "elements": buttons})
    if not blocks:  # Slack takes no attachment without one
        blocks.append({"type": "section", "text": _plain(escaped_within(wording.headline(message), TEXT_LIMIT))})
    return {"color": colour(message), "blocks": blocks}


def _field(name: str, value: str) -> dict[str, Any]:
    head = f"{escaped_within(name, 4 * wording.NAME_LIMIT)}\n"
    return _plain(head + escaped_within(value, FIELD_LIMIT - max(40, _utf16_units(head))))


def _buttons(message: Message) -> list[dict[str, Any]]:
    buttons: dict[str, dict[str, Any]] = {}
    for place, link in enumerate(wording.links(message, URL_LIMIT)):
        word = link.text.partition(" ")[0].lower()
        action = word if word not in buttons else f"{word}-{place}"
        button = {"type": "button", "action_id": action, "text": _plain(link.text), "url": link.url}
        buttons[action] = button | {"style": "primary"} if link.main else button
    return list(buttons.values())


def _plain(text: str) -> dict[str, Any]:
    # Nothing in somebody's error text is formatting, an emoji, a mention or a link.
    return {"type": "plain_text", "text": text, "emoji": False}


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
