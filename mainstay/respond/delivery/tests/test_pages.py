"""The pages of channels: forms made from the kinds, tests, pauses, and what a deletion would lose."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.tests.browser import HTMX, exported, page, signed_in, title
from mainstay.desk.tests.desk import Desk, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery.actions import put_channel, spec_of
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.models import Attempt, Channel, Delivery
from mainstay.respond.delivery.pages.forms import ChannelForm
from mainstay.respond.delivery.spec import ChannelSpec

KINDS: dict[str, dict[str, Any]] = {
    "slack": {"bot_token": "xoxb-1-secret", "channel": "#ops"},
    "email": {
        "url": "smtp://u:pw-secret@mail.example:587",
        "from": "ops@example.org",
        "to": ["a@example.org", "b@example.org"],
    },
    "pagerduty": {"routing_key": "r-secret", "url": "https://events.eu.pagerduty.com/v2/enqueue"},
    "webhook": {
        "url": "https://hook.example/t-secret",
        "method": "PUT",
        "headers": {"Authorization": "Bearer h-secret", "X-Team": "t-secret"},
        "secret": "sign-secret",
        "ca_file": "/srv/files/ca.pem",
    },
    "teams": {"url": "https://flow.example/x?sig=s-secret"},
    "apprise": {"url": "ntfys://ntfy.example/topic-secret"},
}


@pytest.fixture
def here(db: None) -> Desk:
    return desk()


@pytest.fixture
def client(here: Desk) -> Client:
    return signed_in(Role.DEVOPS)


def _channel(name: str, kind: str = "webhook", **given: Any) -> Channel:
    document = {"name": name, kind: KINDS[kind]}
    return put_channel(ChannelSpec.model_validate(document), COMMAND_LINE, now(), **given)


def _unchanged(client: Client, name: str) -> dict[str, Any]:
    """Return what the form sends when nobody touched it."""
    form = client.get(f"/channels/{name}/").context["form"]
    values = {field: form.get_initial_for_field(bound, field) for field, bound in form.fields.items()}
    return {field: value for field, value in values.items() if value not in (None, False)}


def test_every_kind_has_an_example_here() -> None:
    assert set(KINDS) == set(CHANNELS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_in_the_page_and_saving_it_untouched_keeps_all(client: Client, kind: str) -> None:
    before = spec_of(_channel("mine", kind))
    html = page(client, "/channels/mine/")
    assert "-secret" not in html
    answer = client.post("/channels/mine/", _unchanged(client, "mine"))
    assert answer.status_code == 302, answer.context["form"].errors
    assert spec_of(Channel.objects.get(name="mine")) == before
    assert not Entry.objects.filter(kind="channel.edited", subject_name="mine").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_of_every_kind_can_be_added_by_its_form(client: Client, kind: str) -> None:
    sent: dict[str, Any] = {"name": "fresh"}
    for key, value in KINDS[kind].items():
        text = "\n".join(f"{n}: {v}" for n, v in value.items()) if isinstance(value, dict) else value
        sent[f"set_{key}"] = "\n".join(text) if isinstance(text, list) else text
    form = client.get(f"/new-channel/{kind}").context["form"]
    for name, field in form.fields.items():
        if field.initial:
            sent.setdefault(name, field.initial)
    answer = client.post(f"/new-channel/{kind}", sent)
    assert answer.status_code == 302, answer.context["form"].errors
    expected = ChannelSpec.model_validate({"name": "fresh", kind: KINDS[kind]})
    assert spec_of(Channel.objects.get(name="fresh")) == expected


def test_a_typed_secret_replaces_the_stored_one_and_a_tick_removes_it(client: Client) -> None:
    _channel("mine")
    sent = _unchanged(client, "mine")
    client.post("/channels/mine/", {**sent, "set_secret": "another-one"})
    stored: Any = spec_of(Channel.objects.get(name="mine")).settings
    assert stored.secret.get_secret_value() == "another-one"
    client.post("/channels/mine/", {**sent, "clear_secret": "on"})
    stored = spec_of(Channel.objects.get(name="mine")).settings
    assert stored.secret is None
    assert stored.url.get_secret_value() == "https://hook.example/t-secret"


def test_a_masked_header_keeps_its_value_beside_a_new_one(client: Client) -> None:
    _channel("mine")
    sent = _unchanged(client, "mine") | {"set_headers": "Authorization: ********\nX-New: n"}
    assert client.post("/channels/mine/", sent).status_code == 302
    stored: Any = spec_of(Channel.objects.get(name="mine")).settings
    assert {name: value.get_secret_value() for name, value in stored.headers.items()} == {
        "Authorization": "Bearer h-secret",
        "X-New": "n",
    }


def test_a_masked_header_under_another_name_is_refused(client: Client) -> None:
    _channel("mine")
    answer = client.post("/channels/mine/", _unchanged(client, "mine") | {"set_headers": "X-Other: ********"})
    assert answer.status_code == 422
    assert "X-Other: a mask is no secret" in answer.content.decode()


@pytest.mark.parametrize(
    ("kind", "given", "field", "says"),
    [
        ("webhook", {}, "set_url", "This field is required."),
        ("webhook", {"set_url": "ftp://x"}, "set_url", "must start with https://"),
        ("webhook", {"set_url": "https://x", "set_headers": "nonsense"}, "set_headers", "is not “Name: value”"),
        ("webhook", {"set_url": "https://x", "set_headers": "Host: y"}, "set_headers", "cannot be changed"),
        ("webhook", {"set_url": "https://x", "set_secret": "short"}, "set_secret", "at least 8"),
        ("slack", {"set_channel": "#ops"}, "__all__", "give either webhook_url"),
        (
            "email",
            {"set_url": "smtp://h", "set_from": "x@y.example", "set_to": "fine@y.example\nnot an address"},
            "set_to",
            "Line 2",
        ),
        ("webhook", {"name": "ops", "set_url": "https://x"}, "name", "exists already"),
        ("webhook", {"name": "has blank", "set_url": "https://x"}, "name", "Letters, digits"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    client: Client, kind: str, given: dict[str, str], field: str, says: str
) -> None:
    form = client.get(f"/new-channel/{kind}").context["form"]
    chosen = {name: f.initial for name, f in form.fields.items() if f.initial}
    answer = client.post(f"/new-channel/{kind}", {"name": "fresh", **chosen, **given})
    assert answer.status_code == 422
    assert says.lower() in str(answer.context["form"].errors[field]).lower()
    assert Channel.objects.count() == 1


def test_a_refused_secret_is_not_sent_back_to_the_browser(client: Client) -> None:
    answer = client.post(
        "/new-channel/webhook", {"name": "x y", "set_url": "https://hook.example/t-secret", "set_method": "POST"}
    )
    assert "t-secret" not in answer.content.decode()


def test_help_is_what_the_setting_says_of_itself() -> None:
    form = ChannelForm(kind="teams")
    assert unescape(str(form.fields["set_url"].help_text)) == CHANNELS["teams"].Settings.model_fields["url"].description


def test_a_channel_of_a_file_is_shown_but_not_changed(client: Client) -> None:
    row = _channel("filed", by_file="shop.yaml")
    html = page(client, "/channels/filed/")
    assert "mainstay apply shop.yaml" in html
    assert ">Save<" not in html
    assert client.post("/channels/filed/", _unchanged(client, "filed")).status_code == 422
    assert "shop.yaml" in client.post("/channels/filed/pause", {"to": "pause"}, follow=True).content.decode()
    assert client.post("/channels/filed/delete").status_code == 409
    row.refresh_from_db()
    assert not row.paused


# --- how it does ----------------------------------------------------------------------------------------------------


def _fail(row: Delivery, answer: str, at: Any = None) -> None:
    Attempt.objects.create(delivery=row, at=at or now(), duration_s=0.1, outcome="retry", answer=answer)
    Delivery.objects.filter(pk=row.pk).update(status="queued", attempts=3, answer=answer)


def test_a_failing_channel_makes_the_headline_with_the_receivers_answer(client: Client, here: Desk) -> None:
    _fail(here.delivery, "HTTP 404. There is nothing at this URL: correct the path.")
    html = page(client, "/channels/")
    assert title(html) == "ops does not reach anybody."
    assert "correct the path" in html
    assert "correct the path" in page(client, "/channels/ops/")


def test_a_channel_that_delivered_says_when(client: Client, here: Desk) -> None:
    Delivery.objects.filter(channel=here.channel).update(status="delivered", delivered_at=now(), answer="HTTP 200.")
    html = page(client, "/channels/")
    assert title(html) == "The channel delivers."
    assert "HTTP 200." in html


def test_without_channel_or_route_the_headline_says_that_nobody_is_paged(client: Client, here: Desk) -> None:
    from mainstay.respond.alerts.models import Route

    Delivery.objects.all().delete()
    assert title(page(client, "/channels/")) == "No channel has delivered anything yet: send a test."
    Route.objects.all().delete()
    assert title(page(client, "/channels/")) == "Nobody is paged yet: no route leads to a channel."
    Channel.objects.all().delete()
    assert title(page(client, "/channels/")) == "Nobody can be paged yet: there is no channel."


def test_a_route_to_a_channel_that_is_gone_shows_it(client: Client, here: Desk) -> None:
    Channel.objects.all().delete()
    assert "is-failed" in page(client, "/channels/")


def test_the_number_of_queries_does_not_grow_with_channels_and_routes(client: Client) -> None:
    counts = []
    for size in (5, 45):
        for i in range(size):
            _channel(f"c{size}-{i}")
            put_route(
                RouteSpec.model_validate({"name": f"r{size}-{i}", "notify": [f"c{size}-{i}"]}), COMMAND_LINE, now()
            )
        with CaptureQueriesContext(connection) as found:
            page(client, "/channels/")
        counts.append(len(found))
    assert counts[0] == counts[1] <= 12


def test_the_file_of_channels_holds_no_secret(client: Client) -> None:
    _channel("mine")
    text = exported(client.get("/channels/", {"format": "jsonl"}))
    assert '"name":"mine"' in text
    assert "secret" not in text


# --- test, pause, delete --------------------------------------------------------------------------------------------


def test_a_test_is_followed_until_the_receiver_confirms(client: Client, here: Desk) -> None:
    answer = client.post("/channels/ops/test", headers=HTMX)
    html = answer.content.decode()
    row = Delivery.objects.get(event="test")
    assert f'hx-get="/deliveries/{row.pk}/test"' in html
    assert "Waiting for the receiver" in html
    _fail(row, "Not sent: the receiver cannot be reached.")
    html = page(client, f"/deliveries/{row.pk}/test")
    assert "cannot be reached" in html
    assert "every 1s" in html
    Delivery.objects.filter(pk=row.pk).update(status="delivered", delivered_at=now())
    html = page(client, f"/deliveries/{row.pk}/test")
    assert "The receiver confirmed it." in html
    assert "every 1s" not in html


def test_without_javascript_a_test_leads_to_its_delivery(client: Client) -> None:
    answer = client.post("/channels/ops/test")
    assert answer.headers["Location"] == f"/deliveries/{Delivery.objects.get(event='test').pk}/"


def test_a_test_to_a_paused_channel_says_that_it_waits(client: Client, here: Desk) -> None:
    client.post("/channels/ops/pause", {"to": "pause"})
    assert "The channel is paused: the test waits." in client.post("/channels/ops/test", headers=HTMX).content.decode()


def test_pausing_and_resuming(client: Client, here: Desk) -> None:
    client.post("/channels/ops/pause", {"to": "pause"})
    html = page(client, "/channels/ops/")
    assert title(html) == "ops"
    assert re.search(r'class="sub">paused · ', html)
    client.post("/channels/ops/pause", {"to": "resume"})
    assert not Channel.objects.get(name="ops").paused
    assert Entry.objects.filter(kind="channel.edited", subject_name="ops").count() == 2


def test_deleting_says_what_would_be_lost_and_then_withdraws_it(client: Client, here: Desk) -> None:
    Delivery.objects.filter(channel=here.channel).update(status="queued", created_at=now() - timedelta(hours=2))
    waiting = Delivery.objects.filter(channel=here.channel).count()
    html = page(client, "/channels/ops/delete")
    assert f"{waiting} message" in html
    assert "2 h ago".replace(" ", "\N{NO-BREAK SPACE}", 1) in html
    assert "severity-critical" in html
    assert "would notify nobody" in html
    assert Channel.objects.filter(name="ops").exists()
    client.post("/channels/ops/delete")
    assert not Channel.objects.filter(name="ops").exists()
    assert Delivery.objects.filter(status="withdrawn").count() == waiting
