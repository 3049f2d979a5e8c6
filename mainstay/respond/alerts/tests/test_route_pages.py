"""Routes: forms, order, and who would be paged."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from pydantic import ValidationError

from mainstay.desk.tests.browser import page, signed_in
from mainstay.desk.tests.desk import Desk, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.respond.alerts.actions import silence
from mainstay.respond.alerts.models import Route
from mainstay.respond.alerts.pages.forms import shown_hours
from mainstay.respond.alerts.routes import put_route, spec_of
from mainstay.respond.alerts.spec import HoursSpec, RouteSpec
from mainstay.respond.alerts.tests.parts import silencing

FULL = {
    "name": "payments",
    "match": {"severity": ["critical", "major"], "application": "shop", "team": ["a", "b"]},
    "notify": ["ops"],
    "fallback": ["ops"],
    "remind_every": "15m",
    "hours": {"days": ["mon", "tue", "fri"], "from": "08:00", "to": "18:30", "timezone": "Europe/Berlin"},
    "also": True,
}


@pytest.fixture
def here(db: None) -> Desk:
    return desk()


@pytest.fixture
def client(here: Desk) -> Client:
    return signed_in(Role.DEVOPS)


def _route(document: dict[str, Any], **given: Any) -> Route:
    return put_route(RouteSpec.model_validate(document), COMMAND_LINE, now(), **given)


def _form(client: Client, address: str) -> dict[str, Any]:
    """Return what the form at `address` would send unchanged."""
    form = client.get(address).context["form"]
    return {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}


def _sent(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, False, "")}


def test_saving_a_route_unchanged_changes_nothing(client: Client) -> None:
    row = _route(FULL)
    before = spec_of(row)
    answer = client.post(f"/routes/{row.pk}/", _sent(_form(client, f"/routes/{row.pk}/")))
    assert answer.status_code == 302, answer.context["form"].errors
    row.refresh_from_db()
    assert spec_of(row) == before
    assert not Entry.objects.filter(kind="route.edited", subject=f"route:{row.pk}").exists()


def test_a_route_is_added_last_with_a_name_made_from_its_match(client: Client) -> None:
    client.post("/routes/new", {"severity": ["minor"], "match": "application = shop", "notify": ["ops"]})
    row = Route.objects.last()
    assert row is not None
    assert row.match == {"severity": "minor", "application": "shop"}
    assert row.name == "severity-minor-application-shop"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"match": "shop"}, "is not name=value"),
        ({"match": "a = 1\na = 2"}, "given twice"),
        ({"severity": ["major"], "match": "severity = minor"}, "ticked above already"),
        ({"fallback": "nobody"}, "no channel named nobody exists"),
        ({"remind_every": "often"}, "remind_every"),
        ({"remind_every": "1s"}, "must be at least 10s"),
        ({"begin": "08:00", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"name": "with blank"}, "Letters, digits, - and _ only."),
        ({"name": "severity-critical"}, "exists already"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_added(client: Client, given: dict[str, Any], says: str) -> None:
    before = Route.objects.count()
    answer = client.post("/routes/new", {"notify": ["ops"], **given})
    assert answer.status_code == 422
    errors = str(answer.context["form"].errors.get_json_data())
    assert says.lower() in errors.lower() or says in answer.context["form"].errors
    assert Route.objects.count() == before


def test_moving_up_swaps_with_the_neighbour_and_is_in_the_journal(client: Client) -> None:
    row = _route({"name": "second", "notify": ["ops"]})
    assert [each.name for each in Route.objects.all()] == ["severity-critical", "second"]
    client.post(f"/routes/{row.pk}/move", {"to": "up"})
    assert [each.name for each in Route.objects.all()] == ["second", "severity-critical"]
    assert Entry.objects.filter(kind="route.edited", subject=f"route:{row.pk}").get().facts == {"fields": ["position"]}
    assert "first already" in client.post(f"/routes/{row.pk}/move", {"to": "up"}, follow=True).content.decode()


def test_routes_of_equal_position_can_be_moved(client: Client) -> None:
    rows = [_route({"name": f"r{i}", "notify": ["ops"]}) for i in range(3)]
    Route.objects.update(position=0)
    client.post(f"/routes/{rows[2].pk}/move", {"to": "up"})
    assert [each.name for each in Route.objects.all()][-3:] == ["r0", "r2", "r1"]


def test_a_route_of_a_file_is_shown_but_not_changed(client: Client) -> None:
    row = _route({"name": "filed", "notify": ["ops"]}, by_file="shop.yaml")
    html = page(client, f"/routes/{row.pk}/")
    assert "mainstay apply shop.yaml" in html
    assert '<button type="submit" class="primary">Save' not in html
    assert client.post(f"/routes/{row.pk}/", {"notify": []}).status_code == 422
    assert client.post(f"/routes/{row.pk}/delete").status_code == 409
    assert "shop.yaml" in client.post(f"/routes/{row.pk}/move", {"to": "up"}, follow=True).content.decode()
    assert [each.name for each in Route.objects.all()] == ["severity-critical", "filed"]


def test_deleting_the_only_route_says_what_follows(client: Client, here: Desk) -> None:
    assert "nothing would page any more" in page(client, f"/routes/{here.route.pk}/delete")
    client.post(f"/routes/{here.route.pk}/delete")
    assert not Route.objects.exists()


# --- who would be paged? --------------------------------------------------------------------------------------------


def _who(client: Client, **given: str) -> str:
    return page(client, "/routes/who", asked="1", **given)


def test_the_answer_names_channels_and_steps(client: Client) -> None:
    html = _who(client, severity="critical", application="shop")
    assert "Would page ops" in html
    assert "Route severity-critical" in html
    assert "severity is minor, not critical" in _who(client, severity="minor")


def test_the_answer_knows_silences_and_hours(client: Client) -> None:
    silence(silencing({"team": "payments"}, now(), now() + timedelta(hours=1), "known"), COMMAND_LINE, now())
    assert "Would not page" in _who(client, severity="critical", labels="team=payments")
    Route.objects.all().delete()
    _route({"name": "day", "notify": ["ops"], "hours": {"days": ["mon"], "from": "08:00", "to": "18:00"}})
    assert "Would page ops" in _who(client, at="2026-03-02T12:00")  # a Monday
    assert "Would page nobody" in _who(client, at="2026-03-02T19:00")
    assert "Would page nobody" in _who(client, at="2026-03-03T12:00")


def test_asking_writes_nothing(client: Client) -> None:
    before = Entry.objects.count()
    _who(client, severity="critical")
    assert Entry.objects.count() == before


def test_a_question_that_cannot_be_read_is_answered_so(client: Client) -> None:
    assert "is not name=value" in _who(client, labels="payments")


def test_the_question_works_on_the_page_itself(client: Client) -> None:
    assert "Would page ops" in page(client, "/channels/", asked="1", severity="critical")


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "words"),
    [(["mon", "tue", "wed"], "Mon–Wed"), (["mon", "wed"], "Mon, Wed"), (["sat", "sun"], "Sat, Sun"), (["sun"], "Sun")],
)
def test_hours_read_as_words(days: list[str], words: str) -> None:
    assert shown_hours({"days": days, "from": "08:00", "to": "18:00", "timezone": "UTC"}) == f"{words} 08:00–18:00 UTC"


@pytest.mark.fault("C17")
@pytest.mark.parametrize(
    ("begin", "end", "kept"),
    [
        ("08:00", "24:00", ("08:00", "00:00")),
        ("00:00", "24:00", ("00:00", "00:00")),
        ("8:00", "9:30", ("08:00", "09:30")),
        ("18:00", "08:00", ("18:00", "08:00")),
    ],
)
def test_the_day_ends_at_24_00(begin: str, end: str, kept: tuple[str, str]) -> None:
    spec = HoursSpec.model_validate({"from": begin, "to": end})
    assert (spec.begin, spec.end) == kept


@pytest.mark.fault("C17")
@pytest.mark.parametrize(
    "wrong",
    ["24:00", "24:01", "25:00", "8", "08:60", "8:0", "08:00:00", "8pm", "", " 08:00", "08:00\n", "٠٨:٠٠", "-1:00"],
)
def test_what_is_no_time_of_day_is_refused_in_words(wrong: str) -> None:
    with pytest.raises(ValidationError, match="is no time of day: write for example 08:30"):
        HoursSpec.model_validate({"from": wrong})
    if wrong != "24:00":
        with pytest.raises(ValidationError, match="is no time of day: write for example 08:30"):
            HoursSpec.model_validate({"to": wrong})


@pytest.mark.fault("D5")
def test_a_route_with_nothing_filled_in_is_asked_back(client: Client) -> None:
    answer = client.post("/routes/new", {})
    assert answer.status_code == 422
    assert "for every alert it would notify nobody" in answer.content.decode()
    with pytest.raises(ValidationError, match="name a channel, or what this route is for"):
        RouteSpec.model_validate({"name": "empty"})
    assert RouteSpec.model_validate({"match": {"team": "lab"}}).notify == [], "that one says what it is for"


@pytest.mark.fault("D5")
@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        ({}, {"match": {"team": "a"}}, True),
        ({"match": {"team": "a"}}, {"match": {"team": "a", "severity": "minor"}}, True),
        ({"match": {"team": ["a", "b"]}}, {"match": {"team": "a"}}, True),
        ({"match": {"team": "a"}}, {"match": {"team": ["a", "b"]}}, False),
        ({"matchers": ["team!=a"]}, {"matchers": ["team!=a", "team!=b"]}, True),
        ({"matchers": ["team!=a", "team!=b"]}, {"matchers": ["team!=a"]}, False),
        ({"matchers": ['team=~"a.*"']}, {"matchers": ['team=~"a.*"', "severity=minor"]}, True),
        ({"also": True}, {"match": {"team": "a"}}, False),
        ({"hours": {"from": "08:00", "to": "18:00"}}, {"match": {"team": "a"}}, False),
        ({"match": {"team": "a"}}, {}, False),
    ],
)
def test_a_route_that_no_alert_gets_to_is_marked(
    client: Client, first: dict[str, Any], second: dict[str, Any], hidden: bool
) -> None:
    _route({"name": "first", "notify": ["ops"], **first})
    _route({"name": "second", "notify": ["ops"], **second})
    assert ("first takes all of its alerts" in page(client, "/channels/")) is hidden


@pytest.mark.fault("D5")
def test_a_route_that_pages_nobody_says_so(client: Client) -> None:
    _route({"name": "lab", "match": {"team": "lab"}})
    assert "page nobody" in page(client, "/channels/")
