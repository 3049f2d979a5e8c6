"""The words every channel uses, and how they are made to fit.

Titles and texts come from checks, labels and other people's systems: they are hostile until escaped by the
channel for its own format. Here they are only made into one line and cut to a length.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from mainstay.foundation.clock import utc_text
from mainstay.foundation.words.durations import write_span
from mainstay.foundation.words.text import is_web_link
from mainstay.respond.delivery.message import AlertPart, Event, Link, Message

ELLIPSIS = "…"
WORD_LIMIT = 40
FACTS_LIMIT = 10
NAME_LIMIT = 80
LINKS_LIMIT = 4
LINK_LIMIT = 50
LABELS_LIMIT = 60
LABEL_LIMIT = 1000

SEVERITY_NAMES: Mapping[str, str] = {"critical": "Critical", "major": "Major", "minor": "Minor"}

_TONES = {Event.ACKNOWLEDGE: "acknowledged", Event.RESOLVE: "resolved", Event.TEST: "test"}

# Direction overrides make a line read differently from what it says ("gpj.exe" as "exe.jpg").
_DIRECTION_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
# Where no cut may fall: before a joiner, a variation selector, an accent, a skin tone, and after a joiner.
_JOINED = re.compile(
    "(?<=\u200d)|[\u200d\ufe00-\ufe0f\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\U0001f3fb-\U0001f3ff]"
)
# Unicode's categories Cc, Zl and Zp, and every kind of blank.
_BREAKS_AND_SPACES = re.compile("[\\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(text: str) -> str:
    """`text` without line breaks, control characters, direction overrides and repeated spaces."""
    text = _DIRECTION_OVERRIDES.sub("", text)
    return _BREAKS_AND_SPACES.sub(" ", text).strip()


def shorten(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, cut between words and marked by an ellipsis.

    A long word (Chinese, base64, JSON) is cut inside, since little else would be left, but never within what one sees
    as one character. `limit` is at least 1.
    """
    if limit < 1:
        raise ValueError(f"a text cannot be shortened to {limit} characters")
    if len(text) <= limit:
        return text
    end = limit - len(ELLIPSIS)
    if not text[end].isspace():
        # The cut fell inside a word: go back to the blank before it, if it is near.
        nearest = max(0, end - min(WORD_LIMIT, max(12, limit // 3)))
        end = next((index for index in range(end - 1, nearest, -1) if text[index].isspace()), end)
    while end > 1 and _JOINED.match(text, end):
        end -= 1
    return text[:end].rstrip() + ELLIPSIS


def title(message: Message) -> str:
    """The title on one line; never empty, since no receiver takes an empty one."""
    return one_line(message.title) or f"{message.kind.capitalize()} without a title"


def state(message: Message) -> str:
    """How things stand in a word or two: "Critical", "Still critical", "Acknowledged by Ann", "Resolved"."""
    alert = message.alert
    if alert is None:
        return one_line(message.state)
    actor = one_line(alert.actor)
    match alert.event:
        case Event.TRIGGER:
            return SEVERITY_NAMES[message.urgency]
        case Event.REMIND | Event.UPDATE:
            return f"Still {message.urgency}"
        case Event.ACKNOWLEDGE:
            return f"Acknowledged by {actor}" if actor else "Acknowledged"
        case Event.RESOLVE:
            return f"Resolved by {actor}" if actor else "Resolved"
        case Event.TEST:
            return "Test"


def tone(message: Message) -> str:
    """How it looks, for channels with colours: a severity, "acknowledged", "resolved" or "test"."""
    event = message.alert.event if message.alert is not None else None
    return _TONES.get(event, message.urgency) if event is not None else message.urgency


def links(message: Message, limit: int) -> list[Link]:
    """The last `LINKS_LIMIT` links, the most useful last: only addresses of the web, of at most `limit` characters."""
    found = list(message.links)
    alert = message.alert
    if alert is not None:
        open_still = alert.event in {Event.TRIGGER, Event.REMIND}
        acknowledge = [Link("Acknowledge", alert.acknowledge_url or "", main=True)] if open_still else []
        found = [*acknowledge, Link("Open all alerts" if alert.alerts else "Open alert", alert.url), *found]
    shown = [link for link in found if is_web_link(link.url, limit)][-LINKS_LIMIT:]
    return [replace(link, text=shorten(one_line(link.text) or "Open", LINK_LIMIT)) for link in shown]


def is_loud(message: Message) -> bool:
    """Whether somebody is to be woken: it is critical, and new or still nobody's."""
    calls = message.alert is None or message.alert.event in {Event.TRIGGER, Event.REMIND}
    return calls and message.urgency == "critical"


def headline(message: Message) -> str:
    """State and title on one line."""
    return f"{stands}: {title(message)}" if (stands := state(message)) else title(message)


def facts(message: Message) -> list[tuple[str, str]]:
    """What a reader needs beside the text, in reading order, as name and value on one line each; names cut."""
    named = [*_alert_facts(message), *message.facts][:FACTS_LIMIT]
    return [(shorten(one_line(name), NAME_LIMIT), line) for name, value in named if (line := one_line(value))]


def _alert_facts(message: Message) -> list[tuple[str, str]]:
    alert = message.alert
    if alert is None:
        return []
    named = [
        ("Application", alert.application),
        ("Environment", alert.environment),
        ("Severity", SEVERITY_NAMES[message.urgency]),
        ("Started", utc(message.at)),
    ]
    if alert.ends_at is not None:
        named.append(("Ended", f"{utc(alert.ends_at)}, after {write_span(alert.ends_at - message.at)}"))
    if alert.actor:
        named.append(("By", alert.actor))
    return named


def label_lines(message: Message) -> list[tuple[str, str]]:
    """The first `LABELS_LIMIT` labels as sorted pairs on one line each, names and values cut."""
    first = sorted(message.alert.labels.items())[:LABELS_LIMIT] if message.alert is not None else []
    return [(shorten(one_line(name), LABEL_LIMIT), shorten(one_line(value), LABEL_LIMIT)) for name, value in first]


def utc(at: datetime) -> str:
    """A time as people read it in a log: "2026-03-01 14:05:09 UTC"."""
    return utc_text(at, seconds=True)


def cut_pairs(part: AlertPart, value_limit: int, pair_limit: int = 60) -> dict[str, dict[str, str]]:
    """Labels and annotations cut to `pair_limit` pairs each, names and values to `value_limit` characters.

    For receivers with a limit on the whole body: call with a smaller limit until the body fits.
    """

    def cut(pairs: Mapping[str, str]) -> dict[str, str]:
        kept = sorted(pairs.items())[:pair_limit]
        return {shorten(name, value_limit): shorten(value, value_limit) for name, value in kept}

    return {"labels": cut(part.labels), "annotations": cut(part.annotations)}
