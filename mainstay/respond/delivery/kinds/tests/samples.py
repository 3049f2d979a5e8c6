"""Messages for the tests: a plain one, hostile ones, and strategies for any."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from mainstay.foundation.words import SEVERITIES
from mainstay.respond.delivery.message import Event, Message

STARTED = datetime(2026, 3, 1, 14, 5, 9, tzinfo=UTC)

PLAIN = Message(
    event=Event.TRIGGER,
    title="shop / storefront is down",
    text="GET http://127.0.0.1:9001/ answered 503 instead of 200, twice in a row.",
    severity="critical",
    application="shop",
    environment="production",
    labels={"check": "storefront", "team": "web"},
    annotations={"runbook": "https://wiki.example.org/storefront"},
    starts_at=STARTED,
    url="https://mainstay.example.org/alerts/17",
    acknowledge_url="https://mainstay.example.org/alerts/17/acknowledge?t=abc",
    dedup_key="alert:17",
    reason="route severity=critical to ops; first notification",
)

HOSTILE_TEXTS = [
    "two\nlines\r\nBcc: victim@example.org\r\n\r\nand a body",
    "<script>alert(1)</script><img src=x onerror=alert(1)> & \"quotes\" 'too'",
    "<!channel> <!here> <@U123> <#C123|x> @channel @here <https://evil.example|click>",
    "**bold** _it_ [link](https://evil.example) `code` # head\n- list\n1. one {{DATE(2026-01-01T00:00:00Z)}}",
    "nul \x00 bell \x07 escape \x1b[31m next line \x85 separator \u2028 paragraph \u2029 vt \x0b ff \x0c fs \x1c",
    "\u202egpj.exe\u202c right-to-left",
    "日本語のアラート 🚒🔥 Ärger mit dem Übergang",
    "\ud800 half a pair",
    "&amp;" * 2000,
    "🚒" * 5000,
    "word " * 20_000,
    "",
    "   \n  ",
]


def everywhere(text: str, **changes: Any) -> Message:
    """A message with `text` in every place that other people's text can reach."""
    return replace(
        PLAIN,
        title=text,
        text=text,
        application=text,
        environment=text,
        labels={text: text, "plain": text} | {f"{index}{text[:50]}": text[:5000] for index in range(100)},
        annotations={text: text, "summary2": text},
        reason=text,
        actor=text,
        **changes,
    )


_TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis takes naive bounds
_TEXTS = st.text(st.characters(), max_size=300)
_PAIRS = st.dictionaries(_TEXTS, _TEXTS, max_size=5)

MESSAGES = st.builds(
    Message,
    event=st.sampled_from(Event),
    title=_TEXTS,
    text=_TEXTS,
    severity=st.sampled_from(SEVERITIES),
    application=_TEXTS,
    environment=_TEXTS,
    labels=_PAIRS,
    annotations=_PAIRS,
    starts_at=_TIMES,
    ends_at=st.none() | _TIMES,
    url=_TEXTS,
    acknowledge_url=st.none() | _TEXTS,
    dedup_key=_TEXTS,
    reason=_TEXTS,
    actor=_TEXTS,
)


def follow_up(event: Event, actor: str = "") -> Message:
    """What is sent later about the same alert."""
    ends_at = STARTED + timedelta(minutes=5, seconds=3) if event is Event.RESOLVE else None
    return replace(PLAIN, event=event, actor=actor, ends_at=ends_at)
