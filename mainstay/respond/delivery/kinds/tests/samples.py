"""Messages for the tests: a plain one, hostile ones, and strategies for any."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from mainstay.foundation.words.names import SEVERITIES
from mainstay.respond.delivery.message import ALERT, AlertPart, Event, Link, Message

STARTED = datetime(2026, 3, 1, 14, 5, 9, tzinfo=UTC)

_RENAMED = {"severity": "urgency", "dedup_key": "thread", "starts_at": "at"}
_OF_PART = {field.name for field in fields(AlertPart)}


def split(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is said of an alert, as values of the message and of its part."""
    of_part = {name: value for name, value in values.items() if name in _OF_PART}
    return {_RENAMED.get(name, name): value for name, value in values.items() if name not in _OF_PART}, of_part


def alert_message(**values: Any) -> Message:
    """A message about an alert, from the values of both in one."""
    general, of_part = split(values)
    return Message(kind=ALERT, **general, alert=AlertPart(**of_part))


def changed(message: Message, **values: Any) -> Message:
    """The same message about an alert with other values."""
    general, of_part = split(values)
    return replace(message.of_alert(**of_part), **general)


PLAIN = alert_message(
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

assert PLAIN.alert is not None
PART = PLAIN.alert

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
    return changed(
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
    alert_message,
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
    return changed(PLAIN, event=event, actor=actor, ends_at=ends_at)


NOTICE = Message(
    kind="notice",
    state="SLA warning",
    title="BUG-17 must be fixed within 30 minutes",
    text="Checkout fails for guests.\nNobody works on it.",
    facts=(("Policy", "critical within 4 h"), ("Time left", "30 min")),
    links=(
        Link("Take it", "https://mainstay.example.org/bugs/17/take", main=True),
        Link("Open bug", "https://mainstay.example.org/bugs/17"),
    ),
    urgency="major",
    thread="bug:17",
    at=STARTED,
    reason="the SLA policy critical warns ops",
)
