"""Any program that takes Alertmanager's webhook, version 4, optionally signed.

Body: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, member for member and in the
order Alertmanager writes them. One alert per request, or one group of them as far as a message holds it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from mainstay.foundation import clock
from mainstay.foundation.outside_files import PemPath
from mainstay.net import http
from mainstay.net.addresses import valid_header_name, valid_header_value
from mainstay.net.http import AddressPolicy
from mainstay.respond.delivery.kinds.base import (
    USER_AGENT,
    Channel,
    ChannelSettings,
    Receipt,
    WebUrl,
    header_key,
    host_of,
    receipt_for,
)
from mainstay.respond.delivery.message import AlertPart, Event, Message

SIGNATURE_HEADER = "X-Mainstay-Signature"

# Go writes its zero time for an alert that has not ended.
_NOT_ENDED = "0001-01-01T00:00:00Z"

_OWN_HEADERS = {
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "transfer-encoding",
    "x-mainstay-event",
    SIGNATURE_HEADER.lower(),
}

_MEND = {
    400: "The receiver does not understand the body: does it take Alertmanager's webhook, version 4?",
    401: "The receiver wants (other) credentials: set them in headers, or in the URL as https://user:password@host/.",
    403: "The receiver forbids it: check the credentials in headers or URL.",
    404: "There is nothing at this URL: correct the path.",
    405: "The receiver takes another method: set method to POST or PUT.",
    413: "The receiver finds the message too large: raise its limit for request bodies.",
    0: "Check URL, method and headers of this channel.",
}


class WebhookSettings(ChannelSettings):
    """Where to send and how to prove who sent."""

    url: WebUrl = Field(description="The receiver. A user and password in it are sent as HTTP Basic authentication.")
    method: Literal["POST", "PUT"] = Field("POST", description="HTTP method.")
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Further headers, for example Authorization. Their values are kept secret."
    )
    secret: SecretStr | None = Field(
        None, min_length=8, description=f"If set, every request is signed with it in {SIGNATURE_HEADER}."
    )
    receiver: str = Field("mainstay", min_length=1, max_length=200, description="The body's member receiver.")
    ca_file: PemPath | None = Field(
        None, description="PEM file with the certificate authorities to trust instead of the public ones."
    )

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, value in headers.items():
            valid_header_value(valid_header_name(name), value.get_secret_value())
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"{name} is set by Mainstay and cannot be changed")
        return headers


class Webhook(Channel[WebhookSettings]):
    """See the module."""

    name = "webhook"
    label = "Webhook"
    Settings = WebhookSettings

    def describe(self, settings: WebhookSettings) -> str:
        return f"Webhook {settings.method} to {host_of(settings.url)}"

    def send(
        self,
        settings: WebhookSettings,
        message: Message,
        *,
        idempotency_key: str,
        state: Mapping[str, str],
        timeout_s: float,
        policy: AddressPolicy,
    ) -> Receipt:
        body = json.dumps(payload(message, settings.receiver), ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Idempotency-Key": header_key(idempotency_key),
            "X-Mainstay-Event": message.event,
        }
        if settings.secret is not None:
            # A fresh time for each attempt, or a late retry would look like a replay.
            headers[SIGNATURE_HEADER] = signature(
                settings.secret.get_secret_value(), body, int(clock.now().timestamp())
            )
        # A name given in other letters replaces ours (User-Agent) instead of being sent twice.
        own = {name.lower(): value.get_secret_value() for name, value in settings.headers.items()}
        headers = {name: value for name, value in headers.items() if name.lower() not in own}
        headers |= {name: value.get_secret_value() for name, value in settings.headers.items()}
        answer = http.request(
            settings.method,
            settings.url.get_secret_value(),
            headers=headers,
            body=body,
            timeout_s=timeout_s,
            policy=policy,
            ca_file=None if settings.ca_file is None else str(settings.ca_file),
        )
        return receipt_for(answer, settings, mend=_MEND, state={})


def payload(message: Message, receiver: str) -> dict[str, Any]:
    """The body of an alert, of a group, or of any other message. A group fires while one of its alerts does."""
    group = message.alert if message.alert is not None and message.alert.alerts else None
    alerts = [_alert(each) for each in (group.alerts if group is not None else (message,))]
    annotations = _common(alert["annotations"] for alert in alerts)
    if group is not None:
        told = {"summary": message.title, "description": message.text, "mainstay_reason": message.reason}
        annotations |= told | {"mainstay_url": group.url}
    return {
        "receiver": receiver,
        "status": _status(message),
        "alerts": alerts,
        # As from a route of its own without group_by: the key is stable even when labels change while it fires.
        "groupLabels": {},
        "commonLabels": _common(alert["labels"] for alert in alerts),
        "commonAnnotations": annotations,
        "externalURL": _origin(_url(message)),
        "version": "4",
        "groupKey": f'{{}}/{{mainstay_{message.kind}="{_quoted(message.thread)}"}}:{{}}',
        "truncatedAlerts": group.more if group is not None else 0,
    }


def _alert(message: Message) -> dict[str, Any]:
    """One alert. `text`, `reason` and `actor` are annotations unless an annotation has that name already."""
    alert = message.alert
    labels = _labels(message, alert) if alert is not None else _labels_of_other(message)
    labels = {name: value for name, value in sorted(labels.items()) if value}
    annotations = {"summary": message.title, "description": message.text, "mainstay_reason": message.reason}
    annotations |= {_annotation(name): value for name, value in message.facts}
    if alert is not None:
        annotations |= {"mainstay_actor": alert.actor, **alert.annotations}
    annotations = {name: value for name, value in sorted(annotations.items()) if value}
    return {
        "status": _status(message),
        "labels": labels,
        "annotations": annotations,
        "startsAt": _rfc3339(message.at),
        "endsAt": _NOT_ENDED if alert is None or alert.ends_at is None else _rfc3339(alert.ends_at),
        "generatorURL": _url(message),
        "fingerprint": fingerprint(labels),
    }


def _labels(message: Message, alert: AlertPart) -> dict[str, str]:
    return {
        "alertname": message.title,
        "severity": message.urgency,
        "application": alert.application,
        "environment": alert.environment,
        **alert.labels,
    }


def _labels_of_other(message: Message) -> dict[str, str]:
    """What is no alert comes as one that fires, so that programs for Alertmanager's body take it; this tells it."""
    return {"alertname": message.title, "severity": message.urgency, "mainstay_kind": message.kind}


def _annotation(name: str) -> str:
    """A fact's name as the name of an annotation: "Time left" is `time_left`."""
    return re.sub(r"[^a-z0-9_]+", "_", name.lower())[:100].strip("_") or "fact"


def _url(message: Message) -> str:
    if message.alert is not None:
        return message.alert.url
    return message.links[-1].url if message.links else ""


def _status(message: Message) -> str:
    return "resolved" if message.alert is not None and message.alert.event is Event.RESOLVE else "firing"


def _common(pairs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What all have in common, as Alertmanager says it."""
    first, *others = pairs
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def fingerprint(labels: Mapping[str, str]) -> str:
    """Prometheus' fingerprint of a label set: FNV-1a, 64 bit, over names and values in order of the names.

    After each name and each value comes the byte 0xFF, which occurs nowhere in UTF-8. Sixteen hex digits.
    """
    digest = 0xCBF29CE484222325
    for name in sorted(labels, key=str.encode):
        for byte in name.encode() + b"\xff" + labels[name].encode() + b"\xff":
            digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def signature(secret: str, body: bytes, at_s: int) -> str:
    """The value of the signature header: `t=<unix seconds>,v1=<hex>`.

    `v1` is HMAC-SHA256 under `secret` of the decimal seconds, a full stop, and the body's bytes. With the time
    inside, a captured request cannot be replayed later; the receiver checks that it is recent.
    """
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def _rfc3339(at: datetime) -> str:
    """As Go writes a time: UTC with Z, and only the fraction digits there are (RFC 3339)."""
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _origin(url: str) -> str:
    match = re.match(r"https?://[^/?#]+", url)
    return match.group(0) if match else ""


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
