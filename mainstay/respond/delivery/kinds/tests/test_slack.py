import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.slack import Slack, SlackSettings, blocks, post_payload, webhook_payload
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, assert_fits
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, hang, reply
from mainstay.respond.delivery.kinds.tests.samples import HOSTILE_TEXTS, PART, PLAIN, everywhere, follow_up
from mainstay.respond.delivery.message import Event, Message

THREAD = {"ts": "1700000000.000100", "channel": "C0123456789"}
POSTED = reply(200, json.dumps({"ok": True} | THREAD))


def not_ok(error: str) -> Any:
    return reply(200, json.dumps({"ok": False, "error": error}))


def bot(receiver: Receiver) -> SlackSettings:
    return SlackSettings.model_validate(
        {"bot_token": "xoxb-1-tokentoken", "channel": "#ops", "api_url": receiver.url("/api")}
    )


def send(
    settings: SlackSettings, message: Message, state: dict[str, str], policy: AllowAll, timeout_s: float = 5
) -> Receipt:
    return Slack().send(settings, message, idempotency_key="d-1", state=state, timeout_s=timeout_s, policy=policy)


def test_a_webhook_posts_blocks_with_a_text_fallback(receiver: Receiver, policy: AllowAll) -> None:
    settings = SlackSettings.model_validate({"webhook_url": receiver.url("/services/T0/B0/tokentoken")})
    receipt = send(settings, PLAIN, {}, policy)
    assert receipt == Receipt("delivered", "HTTP 200. The receiver said: ok")
    assert receiver.last.path == "/services/T0/B0/tokentoken"
    payload = receiver.last.json
    assert_fits("slack_webhook", payload)
    assert payload["text"] == "🔴 Critical: shop / storefront is down"
    shown = json.dumps(payload)
    assert "answered 503 instead of 200" in shown
    buttons = payload["attachments"][0]["blocks"][-1]["elements"]
    assert [(button["text"]["text"], button["url"]) for button in buttons] == [
        ("Acknowledge", PART.acknowledge_url),
        ("Open alert", PART.url),
    ]


def test_the_first_message_of_a_bot_begins_a_thread(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [POSTED]
    receipt = send(bot(receiver), PLAIN, {}, policy)
    assert (receipt.outcome, receipt.state) == ("delivered", THREAD)
    assert receiver.last.path == "/api/chat.postMessage"
    assert receiver.last.headers["authorization"] == "Bearer xoxb-1-tokentoken"
    assert_fits("slack_post", receiver.last.json)
    assert receiver.last.json["channel"] == "#ops"
    assert "thread_ts" not in receiver.last.json


@pytest.mark.parametrize("event", [Event.ACKNOWLEDGE, Event.RESOLVE])
def test_a_follow_up_recolours_the_first_message_and_answers_in_its_thread(
    event: Event, receiver: Receiver, policy: AllowAll
) -> None:
    receiver.answers = [POSTED]
    message = follow_up(event, "Ann")
    receipt = send(bot(receiver), message, THREAD, policy)
    assert (receipt.outcome, receipt.state) == ("delivered", THREAD)
    update, post = receiver.requests
    assert (update.path, post.path) == ("/api/chat.update", "/api/chat.postMessage")
    assert_fits("slack_update", update.json)
    assert_fits("slack_post", post.json)
    assert (update.json["ts"], update.json["channel"]) == (THREAD["ts"], THREAD["channel"])
    assert update.json["attachments"][0]["color"] == blocks.colour(message) != blocks.colour(PLAIN)
    assert "by Ann" in update.json["text"]
    assert post.json["thread_ts"] == THREAD["ts"]
    assert post.json["reply_broadcast"] is False
    assert "Acknowledge" not in [
        button["text"]["text"] for button in post.json["attachments"][0]["blocks"][-1]["elements"]
    ]


def test_a_reminder_is_shown_in_the_channel_too(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [POSTED]
    assert send(bot(receiver), follow_up(Event.REMIND), THREAD, policy).state == THREAD
    assert len(receiver.requests) == 1
    assert (receiver.last.json["thread_ts"], receiver.last.json["reply_broadcast"]) == (THREAD["ts"], True)


def test_an_alert_that_fires_anew_begins_a_new_thread(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [POSTED]
    send(bot(receiver), PLAIN, {"ts": "1.1", "channel": "C1"}, policy)
    assert "thread_ts" not in receiver.last.json


@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message", "edit_window_closed"])
def test_a_first_message_that_cannot_be_changed_does_not_stop_the_news(
    error: str, receiver: Receiver, policy: AllowAll
) -> None:
    receiver.answers = [not_ok(error), POSTED]
    assert send(bot(receiver), follow_up(Event.RESOLVE), THREAD, policy).outcome == "delivered"
    assert receiver.last.path == "/api/chat.postMessage"


def test_a_deleted_thread_is_begun_anew(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [not_ok("message_not_found"), not_ok("thread_not_found"), POSTED]
    receipt = send(bot(receiver), follow_up(Event.RESOLVE), {"ts": "1.1", "channel": "C1"}, policy)
    assert (receipt.outcome, receipt.state) == ("delivered", THREAD)
    assert "thread_ts" not in receiver.last.json


def test_an_update_that_may_work_later_keeps_the_thread_reply_back(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(429, "", Retry_After="7")]
    receipt = send(bot(receiver), follow_up(Event.RESOLVE), THREAD, policy)
    assert (receipt.outcome, receipt.retry_after_s, receipt.state) == ("retry", 7, THREAD)
    assert len(receiver.requests) == 1


def test_both_calls_share_one_timeout(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [hang]
    receipt = send(bot(receiver), follow_up(Event.RESOLVE), THREAD, policy, timeout_s=0.3)
    assert (receipt.outcome, receipt.state) == ("unknown", THREAD)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("error", "outcome", "advice"),
    [
        ("invalid_auth", "refused", "copy it again"),
        ("channel_not_found", "refused", "invite the bot"),
        ("not_in_channel", "refused", "/invite"),
        ("missing_scope", "refused", "chat:write"),
        ("something_new", "refused", "something_new"),
        ("ratelimited", "retry", "later"),
        ("service_unavailable", "retry", "later"),
        ("internal_error", "unknown", "does not say"),
        ("fatal_error", "unknown", "does not say"),
    ],
)
def test_ok_false_is_never_taken_for_delivered(
    error: str, outcome: str, advice: str, receiver: Receiver, policy: AllowAll
) -> None:
    receiver.answers = [not_ok(error)]
    receipt = send(bot(receiver), PLAIN, {}, policy)
    assert receipt.outcome == outcome
    assert advice in receipt.answer


@pytest.mark.parametrize(
    "body", ["", "ok", "<html>Please log in</html>", "[]", '{"ok": "true"}', "{" * 5000, "\x00\xff"]
)
def test_an_answer_that_is_not_slacks_is_refused(body: str, receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(200, body)]
    assert send(bot(receiver), PLAIN, {}, policy).outcome == "refused"
    if body != "ok":
        webhook = SlackSettings.model_validate({"webhook_url": receiver.url("/services/x")})
        assert send(webhook, PLAIN, {}, policy).outcome == "refused"


@pytest.mark.parametrize(
    ("status", "said"), [(403, "action_prohibited"), (404, "no_service"), (410, "channel_is_archived")]
)
def test_a_webhooks_error_is_explained(status: int, said: str, receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(status, said)]
    webhook = SlackSettings.model_validate({"webhook_url": receiver.url("/services/x")})
    receipt = send(webhook, PLAIN, {}, policy)
    assert receipt.outcome == "refused"
    assert said in receipt.answer
    assert receipt.answer.endswith(".")


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("event", Event)
def test_hostile_text_stays_text_and_within_limits(text: str, event: Event) -> None:
    message = everywhere(text, event=event)
    assert_fits("slack_webhook", webhook_payload(message))
    assert_fits("slack_post", post_payload(message, channel="#ops", thread_ts="1.1", idempotency_key="d-1"))


def test_no_mention_survives() -> None:
    shown = json.dumps(webhook_payload(everywhere("<!channel> <@U1> <https://evil.example|x>")))
    assert "<!channel>" not in shown
    assert "<@U1>" not in shown
    assert "&lt;!channel&gt;" in shown


def test_the_same_key_gives_the_same_message_id() -> None:
    ids = {
        post_payload(PLAIN, channel="C1", thread_ts=None, idempotency_key=key)["client_msg_id"]
        for key in ("d-1", "d-1", "d-2")
    }
    assert len(ids) == 2


@pytest.mark.parametrize("url", ["javascript:alert(1)", "", "https://a/" + "x" * 4000])
def test_a_link_that_slack_would_refuse_is_left_out(url: str) -> None:
    payload = webhook_payload(everywhere("x", url=url, acknowledge_url=url))
    assert_fits("slack_webhook", payload)
    assert all(block["type"] != "actions" for block in payload["attachments"][0]["blocks"])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"bot_token": "xoxb-1"},
        {"channel": "#ops"},
        {"webhook_url": "https://hooks.slack.com/x", "channel": "#ops"},
        {"webhook_url": "ftp://hooks.slack.com/x"},
        {"webhook_url": "https://hooks.slack.com/ x"},
        {"bot_token": "xoxb\r\nX-Evil: 1", "channel": "#ops"},
        {"bot_token": "xoxb-1", "channel": "a b"},
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SlackSettings.model_validate(values)


@pytest.mark.fault("D2")
@pytest.mark.parametrize(
    "text",
    [
        "*a* ~b~ _c_ :wave:", "`code` ```block```", "> quoted", "- list", "1. list", ":+1: :flag-de: 10:30:00",
        "<!here> @here #general", "https://example.org/a_b_c", "&amp; &lt;", "*a*\n*b*",
    ],
)  # fmt: skip
def test_what_looks_like_formatting_is_shown_as_it_is(text: str) -> None:
    message = everywhere(text)
    payload = webhook_payload(message)
    assert payload["mrkdwn"] is False
    assert not re.search(r":[\w+'-]+:", payload["text"]), "no emoji is made of it"

    def texts(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if "type" in value and isinstance(value.get("text"), str):
                yield value
            for each in value.values():
                yield from texts(each)
        elif isinstance(value, list):
            for each in value:
                yield from texts(each)

    found = list(texts(payload["attachments"]))
    assert found
    assert {each["type"] for each in found} == {"plain_text"}
    assert {each["emoji"] for each in found} == {False}
    shown = html.unescape(found[0]["text"])
    assert text.partition("\n")[0] in shown
