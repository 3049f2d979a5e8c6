"""`/`: one sentence that states the situation, then what it rests on, by role."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.duties import duties
from mainstay.desk.tests.browser import fragment, page, seen_in, signed_in, title
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.processes import notices
from mainstay.foundation.processes.models import Process
from mainstay.foundation.processes.notices import Notice
from mainstay.foundation.processes.outage import Outage
from mainstay.observe.checks.actions import announce
from mainstay.observe.checks.models import Check, CheckState, Downtime, Result
from mainstay.observe.checks.tests.parts import check
from mainstay.observe.checks.windows import Window
from mainstay.respond.alerts.actions import acknowledge, fire, resolve
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.pages.now import spaced
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.sources.checks import of_check
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery.actions import put_channel
from mainstay.respond.delivery.models import Delivery
from mainstay.respond.delivery.spec import ChannelSpec
from mainstay.wings import WINGS

pytestmark = pytest.mark.django_db


@pytest.fixture
def processes() -> None:
    """All three run."""
    for role in ("web", "monitor", "worker"):
        Process.objects.create(role=role, host="here", pid=1, boot="", started_at=now(), beat_at=now())


@pytest.fixture
def client(processes: None) -> Client:
    return signed_in(Role.ADMIN)


def seen(name: str = "front", health: str = "up", **given: Any) -> Check:
    """A check with a recent result."""
    made = check(name, **given)
    CheckState.objects.filter(pk=made.pk).update(
        health=health, since=now(), first_at=now() - timedelta(days=3), last_at=now(), last_health=health
    )
    return Check.objects.get(pk=made.pk)


def alarm(name: str = "front", severity: str = "major") -> Alert:
    """A check that is down, and its alert."""
    return fire(of_check(seen(name, "down", severity=severity), severity, f"shop/{name} is down", "HTTP 500."), now())


def test_before_anything_is_watched_the_page_teaches_the_next_step(client: Client) -> None:
    text = page(client, "/")
    assert title(text) == "Nothing is watched yet."
    assert "mainstay apply" in text


def test_nothing_is_wrong(client: Client) -> None:
    seen()
    text = page(client, "/")
    assert title(text) == "Nothing is wrong."
    assert "No alert is open" in text


def test_one_alert_is_the_headline(client: Client) -> None:
    alarm()
    assert title(page(client, "/")).replace("\N{NO-BREAK SPACE}", " ") == "shop / front is down."


def test_who_has_the_alert_is_in_the_headline(client: Client) -> None:
    acknowledge(alarm(), COMMAND_LINE, now())
    text = page(client, "/")
    assert title(text).replace("\N{NO-BREAK SPACE}", " ") == "shop / front is down; command line has it."
    assert "/acknowledge" not in text.partition('id="live"')[2].partition("Wrong now")[2].partition("Applications")[0]


def test_the_cause_is_the_headline_and_what_follows_from_it_comes_after(client: Client) -> None:
    alarm("front", "major")
    for name in ("api", "search"):
        Alert.objects.filter(pk=alarm(name, "critical").pk).update(decision="unreachable")
    text = page(client, "/")
    assert title(text).replace("\N{NO-BREAK SPACE}", " ") == "shop / front is down, and 2 more because of it."
    assert text.index("shop/front is down") < text.index("shop/api is down")


def test_in_a_storm_the_numbers_are_those_of_all_alerts_and_the_cause_is_named(client: Client) -> None:
    cause = alarm("front", "major")
    follower = alarm("api", "critical")
    many = [
        Alert(
            source=f"test:{i}", name=f"shop/number-{i} is down", severity="critical", started_at=now(),
            check_ref=follower.check_ref, application=follower.application, labels={}, decision="unreachable",
        )
        for i in range(1_199)
    ]  # fmt: skip
    Alert.objects.filter(pk=follower.pk).update(decision="unreachable")
    Alert.objects.bulk_create(many)
    text = page(client, "/")
    assert title(text).replace("\N{NO-BREAK SPACE}", " ") == "shop / front is down, and 1,200 more because of it."
    assert "1 not acknowledged" in text, "what is unreachable is no news"
    assert "1193 more open alerts" in text
    assert cause.name in page(client, "/alerts/").partition("shop/number-")[0]
    Alert.objects.update(decision="paged")
    assert title(page(client, "/")).startswith("1,201 alerts, 1,200 critical: ")


def test_of_several_alerts_the_gravest_comes_first(client: Client) -> None:
    alarm("front", "minor")
    alarm("back", "critical")
    alarm("side", "major")
    said = title(page(client, "/")).replace("\N{NO-BREAK SPACE}", " ")
    assert said == "3 alerts, 1 critical: shop / back is down."


def test_an_alert_says_why_nobody_was_paged(client: Client) -> None:
    alarm()
    text = page(client, "/")
    assert "not paged: <b>there are no routes yet" in text
    assert "Why no page?" in text


def test_a_check_that_is_down_without_an_alert_is_not_hidden(client: Client) -> None:
    seen("front", "down")
    assert title(page(client, "/")) == "shop / front is not up."
    assert "Not up, without an alert" in page(client, "/")


def test_pages_that_do_not_get_through_are_loud(client: Client) -> None:
    seen()
    put_channel(
        ChannelSpec.model_validate({"name": "ops", "webhook": {"url": "http://127.0.0.1:1/"}}), COMMAND_LINE, now()
    )
    put_route(RouteSpec.model_validate({"match": {}, "notify": ["ops"]}), COMMAND_LINE, now())
    alert = alarm("back")
    Delivery.objects.update(attempts=3, answer="connection refused")
    text = page(client, "/")
    assert "Pages that do not get through" in text
    assert "connection refused" in text
    resolve(alert, "a test", now())
    CheckState.objects.update(health="up")
    assert title(page(client, "/")) == "Nothing is wrong, but pages do not get through."


def test_while_the_database_refuses_the_page_says_so_and_calls_no_process_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen()
    refused = Outage()
    refused.refused("beat", OperationalError("database is locked"), time.monotonic())
    monkeypatch.setattr("mainstay.desk.parts.outage", refused)
    text = page(signed_in(), "/")
    assert title(text) == "Nothing is recorded: the database cannot be written: another program has locked it."
    assert "nobody is paged" in text
    assert "process is not running" not in text


def test_a_grave_notice_is_the_headline(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    seen()
    told = Notice("rules", "2 rules cannot be evaluated.", "Edit them.", grave=True, since=now().isoformat())
    monkeypatch.setattr(notices, "_sources", [lambda at: [told]])
    assert title(page(client, "/")) == "2 rules cannot be evaluated."


def test_without_a_monitor_nothing_is_called_fine() -> None:
    seen()
    Process.objects.create(role="web", host="here", pid=1, boot="", started_at=now(), beat_at=now())
    text = page(signed_in(), "/")
    assert title(text) == "Nothing is being watched: the monitor does not run."
    assert "The worker process is not running" in text


def test_maintenance_that_is_open_or_near_is_shown(client: Client) -> None:
    seen()
    moment = now()
    announce(Window("move", starts_at=moment, ends_at=moment + timedelta(hours=1)), COMMAND_LINE, moment)
    announce(
        Window("far", starts_at=moment + timedelta(days=30), ends_at=moment + timedelta(days=31)), COMMAND_LINE, moment
    )
    side = fragment(client, "/", "side").content.decode().partition("Journal")[0]
    assert ">move</a>" in side
    assert ">far</a>" not in side


def test_a_stakeholder_sees_applications_and_nothing_of_operations(processes: None) -> None:
    alarm("front", "critical")
    text = page(signed_in(Role.STAKEHOLDER), "/")
    assert title(text) == "shop is down."
    assert "HTTP 500." not in text
    assert "Journal</h2>" not in text
    assert text.index('id="fleet"') < text.index('id="live"')  # figures first


def test_the_parts_are_rendered_alone_and_only_when_they_changed(client: Client) -> None:
    made = seen()
    for part in ("live", "fleet", "side"):
        first = fragment(client, "/", part)
        text = first.content.decode()
        assert text.lstrip().startswith(f'<div id="{part}"')
        assert fragment(client, "/", part, seen=seen_in(text)).status_code == 204
    fire(of_check(made, "critical", "shop/front is down", ""), now())
    changed = fragment(client, "/", "live").content.decode()
    assert 'id="headline" hx-swap-oob="true"' in changed
    assert 'id="count-alerts" hx-swap-oob="true">1' in changed.replace('"true" ', '"true"')


def test_the_course_of_the_last_results_stands_beside_an_alert(client: Client) -> None:
    alert = alarm()
    moment = now()
    Result.objects.bulk_create(
        Result(
            check_ref=alert.check_ref,
            at=moment - timedelta(seconds=60 * i),
            health="up" if i % 7 else "down",
            duration_s=0.1 * i,
        )
        for i in range(40)
    )
    assert '<svg class="spark" role="img"' in page(client, "/")


def queries(client: Client) -> int:
    client.get("/")
    with CaptureQueriesContext(connection) as found:
        assert client.get("/").status_code == 200
    return len(found)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SUPPORT, Role.DEVOPS, Role.PRODUCT, Role.STAKEHOLDER])
def test_the_page_asks_the_database_equally_often_whatever_there_is(processes: None, role: Role) -> None:
    client = signed_in(role)
    for i in range(5):
        alarm(f"bad-{i}")
        seen(f"good-{i}", of=f"app-{i}")
    few = queries(client)
    for i in range(5, 50):
        alarm(f"bad-{i}")
        seen(f"good-{i}", of=f"app-{i}")
    assert queries(client) == few


# --- what each role owes --------------------------------------------------------------------------------------------


def owes(role: Role) -> list[str]:
    user, _ = User.objects.get_or_create(email=f"{role.value}@owes.example", defaults={"role": role.value})
    return [one.title for one in duties(user, now())]


def test_every_role_has_duties() -> None:
    assert {role for wing in WINGS for one in wing.duties for role in one.at} == set(Role)


def test_a_part_that_fails_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: object) -> None:
        raise ValueError("a defect")

    alarm()
    monkeypatch.setattr("mainstay.respond.delivery.pages.parts.failing", broken)
    assert owes(Role.DEVOPS) == ["Nobody can be paged", "1 alert reaches nobody"]


def test_support_owes_an_answer_to_every_alert() -> None:
    assert owes(Role.SUPPORT) == []
    alarm("front")
    alarm("back")
    assert owes(Role.SUPPORT) == ["2 alerts nobody has"]


def test_devops_owe_a_way_for_pages_to_get_out() -> None:
    alarm()
    assert owes(Role.DEVOPS) == ["Nobody can be paged", "1 alert reaches nobody"]


def test_devops_hear_of_checks_that_are_in_no_file_while_others_are() -> None:
    put_channel(
        ChannelSpec.model_validate({"name": "ops", "webhook": {"url": "http://127.0.0.1:1/"}}), COMMAND_LINE, now()
    )
    put_route(RouteSpec.model_validate({"match": {}, "notify": ["ops"]}), COMMAND_LINE, now())
    seen("front")
    assert owes(Role.DEVOPS) == []
    seen("back")
    Check.objects.filter(name="back").update(managed_by="shop.yaml")
    assert owes(Role.DEVOPS) == ["1 of 2 checks are in no file"]


def test_a_developer_owes_a_look_at_the_alerts_of_their_teams_applications() -> None:
    alarm()
    developer = User.objects.create_user("dev@owes.example", role=Role.DEVELOPER.value)
    team = Team.objects.create(name="Web")
    team.members.add(developer)
    Application.objects.update(owner=team)
    assert [one.title for one in duties(developer, now())] == ["shop", "1 alert nobody has"]


def test_a_product_owner_hears_of_applications_below_the_goal() -> None:
    seen("front")
    poor = seen("index", of="blog")
    Application.objects.update(owner=Team.objects.create(name="Web"))
    CheckState.objects.update(first_at=now() - timedelta(days=40))
    Downtime.objects.create(
        check_ref=poor, application=poor.application, health="down",
        started_at=now() - timedelta(days=9), ended_at=now() - timedelta(days=8),
    )  # fmt: skip
    assert owes(Role.PRODUCT) == ["blog"]
    assert owes(Role.STAKEHOLDER) == ["blog"]


def test_a_security_specialist_hears_of_missing_second_factors() -> None:
    assert owes(Role.SECURITY) == ["No second factor"]


# --- the sentence, as a table ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("watched", "failing", "monitor", "said"),
    [
        (0, 0, "ok", "Nothing is watched yet."),
        (3, 0, "ok", "Nothing is wrong."),
        (3, 2, "ok", "Nothing is wrong, but pages do not get through."),
        (3, 0, "missing", "Nothing is being watched: the monitor does not run."),
        (0, 0, "missing", "Nothing is watched yet."),
        (3, 0, "late", "Nothing is wrong."),
    ],
)
def test_the_headline_without_alerts(client: Client, watched: int, failing: int, monitor: str, said: str) -> None:
    for i in range(watched):
        seen(f"check-{i}")
    if failing:
        put_channel(
            ChannelSpec.model_validate({"name": "ops", "webhook": {"url": "http://127.0.0.1:1/"}}), COMMAND_LINE, now()
        )
        put_route(RouteSpec.model_validate({"match": {}, "notify": ["ops"]}), COMMAND_LINE, now())
        alert = alarm("back")
        Delivery.objects.update(attempts=failing)
        resolve(alert, "a test", now())
        CheckState.objects.update(health="up")
    if monitor == "missing":
        Process.objects.filter(role="monitor").delete()
    elif monitor == "late":
        Process.objects.filter(role="monitor").update(lag_s=60.0)
    assert title(page(client, "/")) == said


def test_only_a_check_s_name_is_spaced() -> None:
    assert spaced("shop/front is down").replace("\N{NO-BREAK SPACE}", " ") == "shop / front is down"
    assert spaced("the disk of a/b is full") == "the disk of a/b is full"
    assert spaced("plain") == "plain"
