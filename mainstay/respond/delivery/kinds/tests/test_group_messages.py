"""Messages about many alerts: each receiver gets one that it takes, bounded, with where to look for the rest."""

import json
from datetime import timedelta
from typing import Any

import pytest

from mainstay.respond.delivery.kinds import pagerduty, slack, teams, webhook
from mainstay.respond.delivery.kinds.apprise import body as apprise_body
from mainstay.respond.delivery.kinds.email import letter
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, assert_fits
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, reply
from mainstay.respond.delivery.kinds.tests.samples import HOSTILE_TEXTS, PLAIN, STARTED, changed, everywhere
from mainstay.respond.delivery.message import AlertPart, Event, Message
from mainstay.respond.delivery.sending.group_message import (
    CARRIED_BYTES,
    CARRIED_MOST,
    NAMED_MOST,
    Carried,
    group_message,
)

URL = "https://mainstay.example.org/deliveries/?group=7"
ENDED = STARTED + timedelta(minutes=5)
Counts = dict[tuple[str, str], int]


def part(message: Message) -> AlertPart:
    assert message.alert is not None
    return message.alert


def alert(number: int) -> Message:
    return changed(
        PLAIN,
        title=f"shop / check-{number} is down",
        labels={"check": f"check-{number}", "team": "web"},
        url=f"https://mainstay.example.org/alerts/{number}/",
        dedup_key=f"a-{number}",
    )


def group(
    carried: list[tuple[Message, str]], counts: Counts, event: Event = Event.TRIGGER, *, first: bool = True
) -> Message:
    rows = [Carried(each.to_json(), state, ENDED if state == "over" else None) for each, state in carried]
    return group_message(
        event, rows, counts, channel="ops", url=URL, dedup_key="group-7", first=first, created_at=STARTED
    )


def many(event: Event = Event.TRIGGER, state: str = "open", *, first: bool = True) -> Message:
    shown = [(alert(number), state) for number in range(CARRIED_MOST)]
    return group(shown, {(state, "critical"): 300, (state, "minor"): 1680}, event, first=first)


@pytest.mark.parametrize(
    ("counts", "event", "first", "title"),
    [
        ({("open", "major"): 1980}, Event.TRIGGER, True, "1,980 alerts are firing"),
        ({("open", "major"): 1, ("over", "minor"): 2}, Event.UPDATE, False, "1 alert is firing"),
        ({("acknowledged", "major"): 40}, Event.ACKNOWLEDGE, False, "40 alerts are acknowledged"),
        ({("over", "major"): 40}, Event.RESOLVE, False, "40 alerts of this group are over"),
        ({("over", "major"): 37}, Event.RESOLVE, True, "37 alerts fired and were over before they could be sent"),
        ({("over", "major"): 1}, Event.RESOLVE, True, "1 alert fired and was over before it could be sent"),
    ],
)
def test_its_title_says_how_many_and_how_they_stand(counts: Counts, event: Event, first: bool, title: str) -> None:
    message = group([(alert(1), next(iter(counts))[0])], counts, event, first=first)
    assert message.title.removeprefix("shop: ") == title


def test_its_text_names_the_first_and_counts_the_rest() -> None:
    message = many()
    lines = message.text.splitlines()
    assert lines[0] == "300 critical, 1,680 minor"
    assert lines[1] == "critical: shop / check-0 is down"
    assert len(lines) == NAMED_MOST + 2
    assert lines[-1] == f"and 1,960 more: {URL}"
    assert (message.urgency, part(message).more, len(part(message).alerts)) == ("critical", 1880, 100)


def test_what_is_over_is_not_called_down_without_saying_so() -> None:
    lines = many(Event.RESOLVE, "over", first=False).text.splitlines()
    assert lines[1] == "critical, over: shop / check-0 is down"


def test_it_survives_json_and_a_single_one_is_stored_as_before() -> None:
    message = many()
    assert Message.from_json(message.to_json()) == message
    assert not {"alerts", "more"} & json.loads(PLAIN.to_json()).keys()


def test_a_webhook_gets_one_body_of_alertmanager_with_a_hundred_alerts_and_the_rest_counted() -> None:
    body = webhook.payload(many(), "ops")
    assert_fits("alertmanager_v4", body)
    assert (body["status"], len(body["alerts"]), body["truncatedAlerts"]) == ("firing", 100, 1880)
    assert body["groupKey"] == '{}/{mainstay_alert="group-7"}:{}'
    common = {"application": "shop", "environment": "production", "severity": "critical", "team": "web"}
    assert body["commonLabels"] == common
    assert body["commonAnnotations"]["mainstay_url"] == URL
    assert len({each["fingerprint"] for each in body["alerts"]}) == 100
    assert body["alerts"][7] == webhook.payload(alert(7), "ops")["alerts"][0]


def test_a_webhook_group_fires_while_a_member_is_open_and_is_then_resolved() -> None:
    counts = {("open", "critical"): 1, ("over", "critical"): 1}
    body = webhook.payload(group([(alert(1), "open"), (alert(2), "over")], counts, Event.UPDATE), "ops")
    assert body["status"] == "firing"
    assert [each["status"] for each in body["alerts"]] == ["firing", "resolved"]
    assert [each["endsAt"] for each in body["alerts"]] == ["0001-01-01T00:00:00Z", "2026-03-01T14:10:09Z"]
    over = webhook.payload(many(Event.RESOLVE, "over", first=False), "ops")
    assert_fits("alertmanager_v4", over)
    assert {each["status"] for each in over["alerts"]} == {over["status"]} == {"resolved"}


def test_pagerduty_gets_one_event_with_a_key_of_its_own() -> None:
    for event, action in ((Event.TRIGGER, "trigger"), (Event.UPDATE, "trigger"), (Event.RESOLVE, "resolve")):
        message = many(event, "over" if event is Event.RESOLVE else "open", first=False)
        sent = json.loads(pagerduty.body(message, "k" * 32))
        assert_fits("pagerduty", sent)
        assert (sent["dedup_key"], sent["event_action"]) == ("group-7", action)
        assert sent["links"][0] == {"href": URL, "text": "All alerts in Mainstay"}


def test_slack_keeps_the_first_message_up_to_date_and_posts_nothing_for_an_update(
    receiver: Receiver, policy: AllowAll
) -> None:
    receiver.answers = [reply(200, '{"ok": true, "ts": "17.5", "channel": "C1"}')]
    settings = slack.SlackSettings.model_validate({"bot_token": "xoxb-1", "channel": "C1", "api_url": receiver.url()})
    state: Any = {}
    for number, event in enumerate((Event.TRIGGER, Event.UPDATE, Event.REMIND, Event.RESOLVE)):
        message = many(event, "over" if event is Event.RESOLVE else "open", first=not number)
        receipt = slack.Slack().send(
            settings, message, idempotency_key=f"k{number}", state=state, timeout_s=5, policy=policy
        )
        assert receipt.outcome == "delivered"
        state = receipt.state
    calls = [request.path.strip("/") for request in receiver.requests]
    first, update, remind, *over = calls
    assert (first, update, remind) == ("chat.postMessage", "chat.update", "chat.postMessage")
    assert over == ["chat.update", "chat.postMessage"]
    assert "Open all alerts" in receiver.requests[0].body.decode()


def test_a_letter_has_a_table_of_its_alerts() -> None:
    text, html = letter.plain_text(many()), letter.html(many())
    for number in (0, 99):
        assert f"Critical: shop / check-{number} is down" in text
        assert f"shop / check-{number} is down</td>" in html
    assert text.count("check-3 is down") == 1
    for shown in (text, html):
        assert "and 1,880 more" in shown
        assert "Open all alerts" in shown


def test_teams_and_apprise_get_a_list_that_fits() -> None:
    assert len(teams.body(many())) <= teams.BODY_LIMIT_BYTES
    assert_fits("teams", json.loads(teams.body(many())))
    assert apprise_body(many()).endswith(URL)


@pytest.mark.long
@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_alerts_fit_every_receiver(text: str) -> None:
    message = group([(everywhere(text), "open")] * CARRIED_MOST, {("open", "critical"): CARRIED_MOST})
    assert len(part(message).alerts) + part(message).more == CARRIED_MOST
    assert len(part(message).alerts) >= 1
    assert sum(len(each.to_json()) for each in part(message).alerts[1:]) <= CARRIED_BYTES
    assert_fits("alertmanager_v4", json.loads(json.dumps(webhook.payload(message, "ops"))))
    assert len(pagerduty.body(message, "k" * 32)) <= pagerduty.BODY_LIMIT_BYTES
    assert_fits("slack_webhook", json.loads(json.dumps(slack.webhook_payload(message))))
    assert len(teams.body(message)) <= teams.BODY_LIMIT_BYTES
    assert letter.html(message)


def test_an_alert_that_cannot_be_read_is_counted() -> None:
    rows = [Carried("{}", "open", None), Carried(alert(1).to_json(), "open", None)]
    message = group_message(
        Event.UPDATE,
        rows,
        {("open", "major"): 2},
        channel="ops",
        url=URL,
        dedup_key="g",
        first=True,
        created_at=STARTED,
    )
    assert (len(part(message).alerts), part(message).more) == (1, 1)
