import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from pydantic import ValidationError

from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, TlsServer, assert_fits
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, reply
from mainstay.respond.delivery.kinds.tests.samples import (
    HOSTILE_TEXTS,
    PART,
    PLAIN,
    STARTED,
    changed,
    everywhere,
    follow_up,
)
from mainstay.respond.delivery.kinds.webhook import Webhook, WebhookSettings, fingerprint, payload, signature
from mainstay.respond.delivery.message import Event, Message


def send(url: str, policy: AllowAll, message: Message = PLAIN, key: str = "d-1", **values: Any) -> Receipt:
    settings = WebhookSettings.model_validate({"url": url} | values)
    return Webhook().send(settings, message, idempotency_key=key, state={}, timeout_s=5, policy=policy)


def test_the_body_is_alertmanagers(receiver: Receiver, policy: AllowAll) -> None:
    assert send(receiver.url("/hook"), policy).outcome == "delivered"
    request = receiver.last
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "d-1"
    assert request.headers["x-mainstay-event"] == "trigger"
    assert_fits("alertmanager_v4", request.json)
    assert request.json == {
        "receiver": "mainstay",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": {
                    "alertname": "shop / storefront is down",
                    "application": "shop",
                    "check": "storefront",
                    "environment": "production",
                    "severity": "critical",
                    "team": "web",
                },
                "annotations": {
                    "description": PLAIN.text,
                    "mainstay_reason": PLAIN.reason,
                    "runbook": "https://wiki.example.org/storefront",
                    "summary": "shop / storefront is down",
                },
                "startsAt": "2026-03-01T14:05:09Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://mainstay.example.org/alerts/17",
                "fingerprint": fingerprint(request.json["commonLabels"]),
            }
        ],
        "groupLabels": {},
        "commonLabels": request.json["alerts"][0]["labels"],
        "commonAnnotations": request.json["alerts"][0]["annotations"],
        "externalURL": "https://mainstay.example.org",
        "version": "4",
        "groupKey": '{}/{mainstay_alert="alert:17"}:{}',
        "truncatedAlerts": 0,
    }


def test_a_resolved_alert_says_when_it_ended() -> None:
    body = payload(follow_up(Event.RESOLVE), "ops")
    assert (body["status"], body["alerts"][0]["status"]) == ("resolved", "resolved")
    assert body["alerts"][0]["endsAt"] == "2026-03-01T14:10:12Z"


def test_an_acknowledgement_is_a_firing_alert_with_an_actor(receiver: Receiver, policy: AllowAll) -> None:
    send(receiver.url(), policy, follow_up(Event.ACKNOWLEDGE, "Ann"))
    assert receiver.last.headers["x-mainstay-event"] == "acknowledge"
    assert receiver.last.json["status"] == "firing"
    assert receiver.last.json["commonAnnotations"]["mainstay_actor"] == "Ann"


def test_labels_of_a_rule_win_over_our_own() -> None:
    labels = payload(changed(PLAIN, labels={"alertname": "HighLatency", "severity": "page"}), "ops")["commonLabels"]
    assert (labels["alertname"], labels["severity"]) == ("HighLatency", "page")


def test_the_group_key_outlives_changing_labels() -> None:
    first, second = (payload(changed(PLAIN, labels={"value": value}), "ops") for value in "12")
    assert first["groupKey"] == second["groupKey"]
    assert first["alerts"][0]["fingerprint"] != second["alerts"][0]["fingerprint"]


def test_fractions_of_a_second_are_written_as_go_writes_them() -> None:
    body = payload(changed(PLAIN, starts_at=STARTED + timedelta(microseconds=120_000)), "ops")
    assert body["alerts"][0]["startsAt"] == "2026-03-01T14:05:09.12Z"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        # Prometheus' own vectors: prometheus/common, model/signature_test.go.
        ({}, 14695981039346656037),
        ({"name": "garland, briggs", "fear": "love is not enough"}, 5799056148416392346),
        ({"first-label": "first-label-value"}, 5146282821936882169),
        ({"first-label": "first-label-value", "second-label": "second-label-value"}, 3195800080984914717),
    ],
)
def test_the_fingerprint_is_prometheus_own(labels: dict[str, str], expected: int) -> None:
    assert int(fingerprint(labels), 16) == expected


def test_the_signature_has_a_known_vector() -> None:
    # printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'correct horse'
    expected = "5d35cfb0fa9f7413a489a6f9ba686a22b847b650b32b89dceaa130d28c7fee19"
    assert signature("correct horse", b'{"a":1}', 1_700_000_000) == f"t=1700000000,v1={expected}"


def test_a_receiver_can_verify_the_signature(receiver: Receiver, policy: AllowAll) -> None:
    with time_machine.travel(STARTED, tick=False):
        send(receiver.url(), policy, secret="a shared secret")
    fields = dict(part.split("=", 1) for part in receiver.last.headers["x-mainstay-signature"].split(","))
    assert fields["t"] == str(int(STARTED.timestamp()))
    signed = fields["t"].encode() + b"." + receiver.last.body
    assert hmac.compare_digest(fields["v1"], hmac.new(b"a shared secret", signed, hashlib.sha256).hexdigest())


def test_the_documented_way_to_verify_works(receiver: Receiver, policy: AllowAll) -> None:
    page = (Path(__file__).parents[5] / "docs" / "channels" / "webhook.md").read_text()
    recipe = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert recipe is not None
    documented: dict[str, Any] = {}
    exec(recipe.group(1), documented)
    verify = documented["is_from_mainstay"]
    send(receiver.url(), policy, secret="a shared secret")
    header, body = receiver.last.headers["x-mainstay-signature"], receiver.last.body
    assert verify("a shared secret", header, body)
    assert not verify("another secret", header, body)
    assert not verify("a shared secret", header, body + b" ")
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        assert not verify("a shared secret", header, body), "a replay"


def test_without_a_secret_nothing_is_signed(receiver: Receiver, policy: AllowAll) -> None:
    send(receiver.url(), policy)
    assert "x-mainstay-signature" not in receiver.last.headers


def test_method_headers_and_receiver_are_as_set(receiver: Receiver, policy: AllowAll) -> None:
    headers = {"Authorization": "Bearer tokentoken", "user-agent": "ours/1"}
    send(receiver.url(), policy, method="PUT", headers=headers, receiver="pager")
    assert receiver.last.method == "PUT"
    assert receiver.last.headers["authorization"] == "Bearer tokentoken"
    assert receiver.last.headers["user-agent"] == "ours/1"
    assert receiver.last.json["receiver"] == "pager"


def test_a_user_in_the_url_is_basic_authentication(receiver: Receiver, policy: AllowAll) -> None:
    send(receiver.url().replace("//", "//user:pass%20word@"), policy)
    assert receiver.last.headers["authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_a_confirmation(status: int, receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(status, b"")]
    assert send(receiver.url(), policy) == Receipt("delivered", f"HTTP {status}.")


@pytest.mark.parametrize("key", ["line\r\nX-Evil: 1", "übergang 🔥", "", "plain-1:2/3"])
def test_an_idempotency_key_cannot_add_headers(key: str, receiver: Receiver, policy: AllowAll) -> None:
    send(receiver.url(), policy, key=key)
    assert "x-evil" not in receiver.last.headers
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("event", Event)
def test_hostile_text_arrives_as_it_is(text: str, event: Event, receiver: Receiver, policy: AllowAll) -> None:
    message = everywhere(text, event=event)
    assert send(receiver.url(), policy, message).outcome == "delivered"
    assert_fits("alertmanager_v4", receiver.last.json)
    assert message.alert is not None
    assert receiver.last.json["commonAnnotations"].get("summary2", "") == message.alert.annotations["summary2"]


def test_a_private_authority_is_trusted_only_when_named(
    tls_server: TlsServer, certificate: Path, policy: AllowAll
) -> None:
    untrusted = send(tls_server.url(), policy)
    assert (untrusted.outcome, len(tls_server.requests)) == ("refused", 0)
    assert "certificate is not trusted" in untrusted.answer
    assert send(tls_server.url(), policy, ca_file=str(certificate)).outcome == "delivered"
    other_host = send(tls_server.url().replace("127.0.0.1", "localhost"), policy, ca_file=str(certificate))
    assert other_host.outcome == "refused"
    gone = send(tls_server.url(), policy, ca_file="gone.pem")
    assert (gone.outcome, "cannot be read as a PEM file" in gone.answer) == ("refused", True)
    assert len(tls_server.requests) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"headers": {"X-Evil": "a\r\nHost: b"}},
        {"headers": {"X Evil": "a"}},
        {"headers": {"Content-Length": "1"}},
        {"headers": {"x-mainstay-signature": "t=1"}},
        {"method": "GET"},
        {"secret": "short"},
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "http://host:port/"},
        {"url": "http://host/\n"},
        {"unknown": 1},
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebhookSettings.model_validate({"url": "https://hooks.example.org/"} | values)


def test_the_body_is_deterministic() -> None:
    shuffled = changed(PLAIN, labels=dict(reversed(list(PART.labels.items()))))
    assert json.dumps(payload(PLAIN, "ops")) == json.dumps(payload(shuffled, "ops"))
