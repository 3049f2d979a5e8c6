import json

import pytest

from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.teams import BODY_LIMIT_BYTES, Teams, TeamsSettings, body
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, assert_fits
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, reply
from mainstay.respond.delivery.kinds.tests.samples import HOSTILE_TEXTS, PART, PLAIN, everywhere, follow_up
from mainstay.respond.delivery.message import Event, Message


def send(receiver: Receiver, policy: AllowAll, message: Message = PLAIN) -> Receipt:
    url = receiver.url("/workflows/f00/triggers/manual/paths/invoke?sig=signaturesignature")
    settings = TeamsSettings.model_validate({"url": url})
    return Teams().send(settings, message, idempotency_key="d-1", state={}, timeout_s=5, policy=policy)


def test_a_card_says_what_is_wrong_and_links_to_it(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(202, b"")]
    assert send(receiver, policy) == Receipt("delivered", "HTTP 202.")
    assert_fits("teams", receiver.last.json)
    card = receiver.last.json["attachments"][0]["content"]
    assert card["body"][0]["style"] == "attention"
    assert card["fallbackText"] == "Critical: shop / storefront is down"
    assert [(action["title"], action["url"]) for action in card["actions"]] == [
        ("Acknowledge", PART.acknowledge_url),
        ("Open alert", PART.url),
    ]
    shown = [run["text"] for part in card["body"] for run in part.get("inlines", [])]
    assert PLAIN.text in shown
    assert "Why this message: " + PLAIN.reason in shown


@pytest.mark.parametrize(
    ("event", "style"), [(Event.REMIND, "attention"), (Event.ACKNOWLEDGE, "emphasis"), (Event.RESOLVE, "good")]
)
def test_the_cards_colour_follows_the_state(event: Event, style: str) -> None:
    card = json.loads(body(follow_up(event)))["attachments"][0]["content"]
    assert card["body"][0]["style"] == style
    titles = [action["title"] for action in card["actions"]]
    assert ("Acknowledge" in titles) == (event is Event.REMIND)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("event", Event)
def test_hostile_text_is_never_markdown_and_fits(text: str, event: Event) -> None:
    encoded = body(everywhere(text, event=event))
    # The schema knows no element that reads Markdown.
    assert_fits("teams", json.loads(encoded))
    assert len(encoded) <= BODY_LIMIT_BYTES
    assert len(encoded.decode().encode("utf-16-le")) <= BODY_LIMIT_BYTES


def test_each_line_of_the_text_is_a_line_of_the_card() -> None:
    card = json.loads(body(everywhere("one\n\ntwo")))["attachments"][0]["content"]
    assert [part["inlines"][0]["text"] for part in card["body"][1:3]] == ["one", "two"]


@pytest.mark.parametrize(("status", "outcome"), [("429", "retry"), ("502", "retry"), ("413", "refused")])
def test_a_failure_behind_a_200_is_found(status: str, outcome: str, receiver: Receiver, policy: AllowAll) -> None:
    said = f"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {status}"
    receiver.answers = [reply(200, said)]
    receipt = send(receiver, policy)
    assert receipt.outcome == outcome
    assert status in receipt.answer


def test_a_workflow_that_is_gone_is_explained(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(404, '{"error":{"code":"WorkflowNotFound"}}')]
    receipt = send(receiver, policy)
    assert receipt.outcome == "refused"
    assert "create it again" in receipt.answer
    assert "WorkflowNotFound" in receipt.answer
