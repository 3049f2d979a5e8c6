"""Parts of pages that keep themselves current."""

from datetime import timedelta

import pytest
from django.test import Client

from mainstay.desk.tests.browser import fragment, page, seen_in, signed_in
from mainstay.desk.tests.desk import Desk, desk
from mainstay.foundation.clock import now
from mainstay.respond.alerts.actions import acknowledge


@pytest.fixture
def here(db: None) -> Desk:
    return desk()


@pytest.fixture
def client(here: Desk) -> Client:
    return signed_in()


def test_a_part_that_is_shown_already_is_not_sent_again(client: Client) -> None:
    assert fragment(client, "/alerts/", seen=seen_in(page(client, "/alerts/"))).status_code == 204


def test_a_part_that_changed_is_sent_alone(client: Client, here: Desk) -> None:
    seen = seen_in(page(client, "/alerts/"))
    acknowledge(here.alert, here.user.actor, now())
    answer = fragment(client, "/alerts/", seen=seen)
    assert answer.status_code == 200
    assert "acknowledged" in answer.content.decode()
    assert "<html" not in answer.content.decode()


def test_the_passing_of_time_alone_is_no_change(client: Client, here: Desk) -> None:
    seen = seen_in(page(client, "/alerts/"))
    type(here.alert).objects.update(summary="HTTP 503")  # nothing new
    assert fragment(client, "/alerts/", seen=seen).status_code == 204
    type(here.alert).objects.update(started_at=here.alert.started_at - timedelta(hours=3))
    assert fragment(client, "/alerts/", seen=seen).status_code == 200  # another start is


def test_each_live_part_of_an_alert_comes_alone(client: Client, here: Desk) -> None:
    for part, other in (("live", 'id="why"'), ("rest", 'id="course"'), ("course", 'id="why"')):
        html = fragment(client, f"/alerts/{here.alert.pk}/", part).content.decode()
        assert f'id="{part}"' in html
        assert other not in html


def test_a_fragment_is_never_kept_by_the_browser(client: Client) -> None:
    answer = fragment(client, "/alerts/")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "HX-Target" in answer.headers["Vary"]
