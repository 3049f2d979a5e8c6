import json

import pytest

from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.pagerduty import (
    BODY_LIMIT_BYTES,
    SEVERITIES,
    PagerDuty,
    PagerDutySettings,
    body,
    payload,
)
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, assert_fits
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, reply
from mainstay.respond.delivery.kinds.tests.samples import HOSTILE_TEXTS, PART, PLAIN, changed, everywhere, follow_up
from mainstay.respond.delivery.message import Event, Message

KEY = "0123456789abcdef0123456789abcdef"
ACCEPTED = reply(202, '{"status":"success","message":"Event processed","dedup_key":"alert:17"}')


def send(receiver: Receiver, message: Message, policy: AllowAll) -> Receipt:
    settings = PagerDutySettings.model_validate({"routing_key": KEY, "url": receiver.url("/v2/enqueue")})
    return PagerDuty().send(settings, message, idempotency_key="d-1", state={}, timeout_s=5, policy=policy)


def test_a_trigger_carries_everything_a_responder_needs(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [ACCEPTED]
    receipt = send(receiver, PLAIN, policy)
    assert receipt.outcome == "delivered"
    assert "Event processed" in receipt.answer
    event = receiver.last.json
    assert_fits("pagerduty", event)
    assert event["routing_key"] == KEY
    assert event["payload"] == {
        "summary": "shop / storefront is down",
        "source": "shop / production",
        "severity": "critical",
        "timestamp": "2026-03-01T14:05:09.000+00:00",
        "component": "shop",
        "group": "production",
        "custom_details": {
            "application": "shop",
            "environment": "production",
            "severity": "Critical",
            "started": "2026-03-01 14:05:09 UTC",
            "text": PLAIN.text,
            "why": PLAIN.reason,
            "labels": dict(PART.labels),
            "annotations": dict(PART.annotations),
        },
    }
    assert event["client"] == "Mainstay"
    assert event["client_url"] == PART.url
    assert [link["href"] for link in event["links"]] == [PART.url, PART.acknowledge_url]


def test_one_alert_is_one_pagerduty_alert_from_trigger_to_resolve() -> None:
    events = [payload(follow_up(event), KEY) for event in Event if event is not Event.TEST]
    assert {event["dedup_key"] for event in events} == {"alert:17"}
    assert [event["event_action"] for event in events] == ["trigger", "trigger", "trigger", "acknowledge", "resolve"]


@pytest.mark.parametrize(("severity", "theirs"), [("critical", "critical"), ("major", "error"), ("minor", "warning")])
def test_severities_are_mapped(severity: str, theirs: str) -> None:
    assert payload(changed(PLAIN, severity=severity), KEY)["payload"]["severity"] == theirs
    assert SEVERITIES[severity] == theirs


def test_a_test_message_says_that_it_is_one() -> None:
    event = payload(follow_up(Event.TEST), KEY)["payload"]
    assert (event["severity"], event["summary"]) == ("info", "Test: shop / storefront is down")


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("event", Event)
def test_hostile_text_fits_the_schema(text: str, event: Event) -> None:
    encoded = body(everywhere(text, event=event), KEY)
    assert_fits("pagerduty", json.loads(encoded))
    assert len(encoded) <= BODY_LIMIT_BYTES


def test_long_keys_stay_apart() -> None:
    keys = [payload(changed(PLAIN, dedup_key="k" * 300 + end), KEY)["dedup_key"] for end in ("a", "b", "a")]
    assert keys[0] == keys[2] != keys[1]
    assert all(len(key) <= 255 for key in keys)


@pytest.mark.parametrize("body", ["", "<html>Please log in</html>", '{"status": "invalid event"}'])
def test_a_200_without_confirmation_is_not_delivered(body: str, receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(200, body)]
    assert send(receiver, PLAIN, policy).outcome == "refused"


def test_a_compatible_receiver_may_confirm_with_200(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(200, '{"status": "success"}')]
    assert send(receiver, PLAIN, policy).outcome == "delivered"


def test_a_wrong_routing_key_is_explained_and_not_shown(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(400, f'{{"status":"invalid event","errors":["routing_key {KEY} is unknown"]}}')]
    receipt = send(receiver, PLAIN, policy)
    assert receipt.outcome == "refused"
    assert "integration key" in receipt.answer
    assert KEY not in receipt.answer
