"""PagerDuty, and whatever else speaks its Events API v2.

Specification: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ (fields and lengths) and
/overview/ (answers, 512 KB).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, SecretStr

from mainstay.net import http
from mainstay.net.http import AddressPolicy, Answer
from mainstay.respond.delivery.kinds import wording
from mainstay.respond.delivery.kinds.base import (
    USER_AGENT,
    Channel,
    ChannelSettings,
    Receipt,
    WebUrl,
    header_key,
    host_of,
    json_object,
    quoting,
    receipt_for,
)
from mainstay.respond.delivery.message import Event, Link, Message

PUBLIC_URL = "https://events.pagerduty.com/v2/enqueue"
BODY_LIMIT_BYTES = 512 * 1000
SUMMARY_LIMIT = 1024
DEDUP_KEY_LIMIT = 255
NAME_LIMIT = 255
TEXT_LIMIT = 8000
URL_LIMIT = 2000

# PagerDuty knows critical, error, warning and info.
SEVERITIES = {"critical": "critical", "major": "error", "minor": "warning"}

_ACTIONS = {
    Event.TRIGGER: "trigger",
    Event.UPDATE: "trigger",
    Event.REMIND: "trigger",  # with the same dedup_key: an entry in the log of the open alert, no second incident
    Event.ACKNOWLEDGE: "acknowledge",
    Event.RESOLVE: "resolve",
    Event.TEST: "trigger",
}

_MEND = {
    400: "PagerDuty does not take the event; most often the routing_key is not an Events API v2 integration key.",
    403: "PagerDuty forbids it: check routing_key, and url for the EU region.",
    404: "There is no Events API at this URL: correct url.",
    0: "Check routing_key and url.",
}


class PagerDutySettings(ChannelSettings):
    """An integration of one PagerDuty service."""

    routing_key: SecretStr = Field(
        min_length=1, max_length=255, description="Integration key of an Events API v2 integration, 32 characters."
    )
    url: WebUrl = Field(
        SecretStr(PUBLIC_URL),
        description="Where events go. EU accounts: https://events.eu.pagerduty.com/v2/enqueue.",
    )


class PagerDuty(Channel[PagerDutySettings]):
    """See the module."""

    name = "pagerduty"
    label = "PagerDuty"
    Settings = PagerDutySettings

    def describe(self, settings: PagerDutySettings) -> str:
        return f"PagerDuty ({host_of(settings.url)})"

    def send(
        self,
        settings: PagerDutySettings,
        message: Message,
        *,
        idempotency_key: str,
        state: Mapping[str, str],
        timeout_s: float,
        policy: AddressPolicy,
    ) -> Receipt:
        answer = http.request(
            "POST",
            settings.url.get_secret_value(),
            headers={
                "Content-Type": "application/json",
                "User-Agent": USER_AGENT,
                "Idempotency-Key": header_key(idempotency_key),
            },
            body=body(message, settings.routing_key.get_secret_value()),
            timeout_s=timeout_s,
            policy=policy,
        )
        receipt = receipt_for(answer, settings, mend=_MEND, state={})
        if receipt.outcome != "delivered" or answer.status == 202 or _says_success(answer):
            return receipt
        if not answer.complete:
            return Receipt("unknown", quoting("PagerDuty's answer broke off.", answer, settings))
        advice = (
            f"HTTP {answer.status} without PagerDuty's confirmation: is this an Events API v2 address? Correct url."
        )
        return Receipt("refused", quoting(advice, answer, settings))


def body(message: Message, routing_key: str) -> bytes:
    """The event as JSON, within PagerDuty's limits: details shrink until it fits."""
    for value_limit in (4096, 1024, 256, 64):
        encoded = json.dumps(payload(message, routing_key, value_limit=value_limit), ensure_ascii=False).encode()
        if len(encoded) <= BODY_LIMIT_BYTES:
            break
    return encoded


def payload(message: Message, routing_key: str, *, value_limit: int = 4096) -> dict[str, Any]:
    """The event. Acknowledge and resolve need no more than the key; details go along for the log."""
    thread = wording.one_line(message.thread)
    alert = message.alert
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": _ACTIONS[alert.event] if alert is not None else "trigger",
        # Cut, two long keys could become the same and one page would vanish in the other.
        "dedup_key": thread if len(thread) <= DEDUP_KEY_LIMIT else _digest(thread),
        "client": "Mainstay",
        "payload": {
            "summary": wording.shorten(_summary(message), SUMMARY_LIMIT),
            "source": (alert and _name(alert.application, alert.environment)) or "mainstay",
            "severity": "info" if wording.tone(message) == "test" else SEVERITIES[message.urgency],
            "timestamp": message.at.isoformat(timespec="milliseconds"),
            **_place(message),
            "custom_details": _details(message, value_limit),
        },
    }
    if found := wording.links(message, URL_LIMIT):
        *others, last = found
        event["client_url"] = last.url
        event["links"] = [_link(message, link) for link in (last, *others)]
    return event


def _place(message: Message) -> dict[str, str]:
    alert = message.alert
    if alert is None:
        return {"class": _name(message.kind)}
    found = {
        "component": _name(alert.labels.get("component", "") or alert.application),
        "group": _name(alert.environment),
        "class": _name(alert.labels.get("alertname", "")),
    }
    return {name: value for name, value in found.items() if value}


def _link(message: Message, link: Link) -> dict[str, str]:
    named = {"Acknowledge": "Acknowledge", "Open alert": "Alert", "Open all alerts": "All alerts"}.get(link.text)
    return {"href": link.url, "text": f"{named} in Mainstay" if message.alert is not None and named else link.text}


def _summary(message: Message) -> str:
    title = wording.title(message)
    if message.alert is None:
        return wording.headline(message)
    return f"Test: {title}" if message.alert.event is Event.TEST else title


def _details(message: Message, value_limit: int) -> dict[str, Any]:
    text_limit = min(TEXT_LIMIT, value_limit * 2)
    details: dict[str, Any] = {
        name.lower(): wording.shorten(value, value_limit) for name, value in wording.facts(message)
    }
    if message.text.strip():
        details["text"] = wording.shorten(message.text.strip(), text_limit)
    if message.reason.strip():
        details["why"] = wording.shorten(wording.one_line(message.reason), text_limit)
    if message.alert is not None:
        details |= {name: pairs for name, pairs in wording.cut_pairs(message.alert, value_limit).items() if pairs}
    return details


def _name(*parts: str) -> str:
    return wording.shorten(" / ".join(line for part in parts if (line := wording.one_line(part))), NAME_LIMIT)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _says_success(answer: Answer) -> bool:
    return json_object(answer).get("status") == "success"
