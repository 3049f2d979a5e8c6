"""A message that is about no alert can be sent through every kind of channel, and reads sensibly there."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.words.names import SEVERITIES
from mainstay.respond.delivery.kinds import CHANNELS, apprise, pagerduty, slack, teams, webhook, wording
from mainstay.respond.delivery.kinds.email import letter
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, assert_fits
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, reply
from mainstay.respond.delivery.kinds.tests.samples import HOSTILE_TEXTS, NOTICE
from mainstay.respond.delivery.message import Link, Message

BARE = Message(
    kind="notice", title="The weekly report is ready", text="", urgency="minor", thread="report:3",
    at=datetime(2026, 3, 2, 8, tzinfo=UTC),
)  # fmt: skip


def written(message: Message) -> Any:
    sender = Address("Mainstay", "desk", "example.org")
    return letter.write(message, sender=sender, to=["ann@example.org"], idempotency_key="d-1", at=message.at)


def test_a_webhook_gets_it_as_one_alert_that_says_what_it_is(receiver: Receiver, policy: AllowAll) -> None:
    settings = webhook.WebhookSettings.model_validate({"url": receiver.url("/hook")})
    webhook.Webhook().send(settings, NOTICE, idempotency_key="d-1", state={}, timeout_s=5, policy=policy)
    assert receiver.last.headers["x-mainstay-event"] == "notice"
    body = receiver.last.json
    assert_fits("alertmanager_v4", body)
    assert body["status"] == "firing"
    assert body["commonLabels"] == {"alertname": NOTICE.title, "severity": "major", "mainstay_kind": "notice"}
    assert body["commonAnnotations"]["summary"] == NOTICE.title
    assert body["commonAnnotations"]["time_left"] == "30 min"
    [alert] = body["alerts"]
    assert alert["generatorURL"] == "https://mainstay.example.org/bugs/17"
    assert body["groupKey"] == '{}/{mainstay_notice="bug:17"}:{}'


def test_pagerduty_opens_an_incident_for_it(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(202, b"{}")]
    settings = pagerduty.PagerDutySettings.model_validate({"routing_key": "k" * 32, "url": receiver.url("/v2/enqueue")})
    pagerduty.PagerDuty().send(settings, NOTICE, idempotency_key="d-1", state={}, timeout_s=5, policy=policy)
    event = receiver.last.json
    assert_fits("pagerduty", event)
    assert (event["event_action"], event["dedup_key"]) == ("trigger", "bug:17")
    assert event["payload"]["summary"] == "SLA warning: BUG-17 must be fixed within 30 minutes"
    assert (event["payload"]["severity"], event["payload"]["class"]) == ("error", "notice")
    assert event["payload"]["custom_details"]["time left"] == "30 min"
    assert event["links"] == [
        {"href": "https://mainstay.example.org/bugs/17", "text": "Open bug"},
        {"href": "https://mainstay.example.org/bugs/17/take", "text": "Take it"},
    ]


def test_slack_shows_title_text_facts_and_buttons(receiver: Receiver, policy: AllowAll) -> None:
    settings = slack.SlackSettings.model_validate({"webhook_url": receiver.url("/services/T0/B0/x")})
    slack.Slack().send(settings, NOTICE, idempotency_key="d-1", state={}, timeout_s=5, policy=policy)
    body = receiver.last.json
    assert_fits("slack_webhook", body)
    assert body["text"] == "🟠 SLA warning: BUG-17 must be fixed within 30 minutes"
    [attachment] = body["attachments"]
    assert "Time left\n30 min" in json.dumps(attachment["blocks"]).encode().decode("unicode_escape")
    buttons = attachment["blocks"][-1]["elements"]
    assert [(b["text"]["text"], b["action_id"], b.get("style")) for b in buttons] == [
        ("Take it", "take", "primary"),
        ("Open bug", "open", None),
    ]


def test_a_slack_bot_posts_what_follows_in_the_thread_and_in_the_channel(receiver: Receiver, policy: AllowAll) -> None:
    settings = slack.SlackSettings.model_validate(
        {"bot_token": "xoxb-1", "channel": "#ops", "api_url": receiver.url("/api")}
    )
    receiver.answers = [reply(200, b'{"ok": true, "ts": "1.2", "channel": "C1"}')] * 2
    first = slack.Slack().send(settings, NOTICE, idempotency_key="d-1", state={}, timeout_s=5, policy=policy)
    slack.Slack().send(settings, NOTICE, idempotency_key="d-2", state=first.state, timeout_s=5, policy=policy)
    assert [request.path for request in receiver.requests] == ["/api/chat.postMessage"] * 2
    assert "thread_ts" not in receiver.requests[0].json
    follow = receiver.requests[1].json
    assert (follow["thread_ts"], follow["reply_broadcast"]) == ("1.2", True)
    assert follow["metadata"]["event_type"] == "mainstay_notice"


def test_teams_shows_a_card(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(202, b"")]
    settings = teams.TeamsSettings.model_validate({"url": receiver.url("/workflows/1/invoke?sig=signature")})
    teams.Teams().send(settings, NOTICE, idempotency_key="d-1", state={}, timeout_s=5, policy=policy)
    assert_fits("teams", receiver.last.json)
    card = receiver.last.json["attachments"][0]["content"]
    assert card["fallbackText"] == "SLA warning: BUG-17 must be fixed within 30 minutes"
    assert card["body"][0]["style"] == "warning"
    assert [action["title"] for action in card["actions"]] == ["Take it", "Open bug"]


def test_a_letter_says_it_in_text_and_html() -> None:
    mail = written(NOTICE)
    assert mail["Subject"] == "SLA warning: BUG-17 must be fixed within 30 minutes"
    assert mail["X-Mainstay-Event"] == "notice"
    assert mail["Importance"] is None
    assert written(replace(NOTICE, urgency="critical"))["Importance"] == "high"
    assert mail["References"] == written(BARE_IN_THREAD)["References"] != written(BARE)["References"]
    text = mail.get_body(("plain",)).get_content()
    assert "Time left: 30 min" in text
    assert "Take it:\n  https://mainstay.example.org/bugs/17/take" in text
    assert "Why you get this: the SLA policy critical warns ops" in text
    page = mail.get_body(("html",)).get_content()
    assert "Checkout fails for guests.<br>" in page
    assert ">Open bug</a>" in page


BARE_IN_THREAD = replace(BARE, thread=NOTICE.thread)


def test_apprise_gets_plain_text(receiver: Receiver, policy: AllowAll) -> None:
    settings = apprise.AppriseSettings.model_validate({"url": f"json://127.0.0.1:{receiver.server_port}/"})
    apprise.AppriseChannel().send(settings, NOTICE, idempotency_key="d-1", state={}, timeout_s=60, policy=policy)
    sent = receiver.last.json
    assert sent["title"] == "SLA warning: BUG-17 must be fixed within 30 minutes"
    assert sent["type"] == "failure"
    assert "Time left: 30 min\nTake it: https://mainstay.example.org/bugs/17/take" in sent["message"]
    assert sent["message"].endswith("\nhttps://mainstay.example.org/bugs/17")


def test_every_kind_of_channel_is_tried_here() -> None:
    assert set(CHANNELS) == {"webhook", "pagerduty", "slack", "teams", "email", "apprise"}


def test_one_that_says_little_leaves_nothing_empty_behind() -> None:
    assert wording.headline(BARE) == "The weekly report is ready"
    assert_fits("slack_webhook", slack.webhook_payload(BARE))
    assert_fits("alertmanager_v4", webhook.payload(BARE, "ops"))
    assert_fits("pagerduty", pagerduty.payload(BARE, "k" * 32))
    assert_fits("teams", json.loads(teams.body(BARE)))
    assert apprise.body(BARE) == ""
    assert "Labels" not in written(BARE).get_body(("html",)).get_content()


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_text_fits_every_format(text: str) -> None:
    message = Message(
        kind="notice", title=text, text=text, state=text, facts=tuple((text, text) for _ in range(30)),
        links=(*(Link(text, "https://example.org/") for _ in range(30)), Link(text, "javascript:alert(1)")),
        urgency="critical", thread="t", at=NOTICE.at, reason=text,
    )  # fmt: skip
    assert Message.from_json(message.to_json()) == message
    assert_fits("slack_webhook", slack.webhook_payload(message))
    assert_fits("alertmanager_v4", webhook.payload(message, "ops"))
    assert_fits("pagerduty", json.loads(pagerduty.body(message, "k" * 32)))
    assert_fits("teams", json.loads(teams.body(message)))
    assert len(teams.body(message)) <= teams.BODY_LIMIT_BYTES
    assert "javascript:" not in written(message).get_body(("html",)).get_content()
    assert len(apprise.body(message)) <= apprise.BODY_LIMIT


@given(
    st.builds(
        Message,
        kind=st.sampled_from(["notice", "incident", "report"]),
        title=st.text(),
        text=st.text(),
        facts=st.lists(st.tuples(st.text(), st.text()), max_size=3).map(tuple),
        links=st.lists(st.builds(Link, st.text(), st.text(), st.booleans()), max_size=3).map(tuple),
        urgency=st.sampled_from(SEVERITIES),
        thread=st.text(),
        at=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        state=st.text(),
        reason=st.text(),
    )
)
def test_it_survives_json(message: Message) -> None:
    assert Message.from_json(message.to_json()) == message


@pytest.mark.parametrize("given", [{"kind": "Alert!"}, {"kind": "a_long_word_of_more"}, {"kind": "alert"}])
def test_a_kind_is_a_short_word_and_only_an_alert_has_an_alerts_part(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="kind"):
        replace(BARE, **given)
