"""Rows that another hand wrote: whatever one holds, it takes down only itself."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, models, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.config.models import Applying
from mainstay.desk.tests.browser import signed_in
from mainstay.desk.tests.desk import Desk, caller, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.clock import now
from mainstay.foundation.journal.seal import seal_once
from mainstay.foundation.processes import notices, setaside
from mainstay.foundation.processes.models import Canary, Process, Suspect
from mainstay.foundation.processes.run import Runner
from mainstay.foundation.processes.work import Death
from mainstay.observe.checks.actions import put_check
from mainstay.observe.checks.models import Check, CheckState, Downtime, Hour, Lease, Maintenance, Ping, Result
from mainstay.observe.checks.runtime import arrivals
from mainstay.observe.checks.runtime.holding import Holding
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.spec import CheckSpec
from mainstay.observe.checks.tests.parts import down, heartbeat, see, watch
from mainstay.observe.checks.uptime import retention
from mainstay.respond.alerts.actions import silence
from mainstay.respond.alerts.models import Alert, Route, Silence
from mainstay.respond.alerts.routes import route_of, routes
from mainstay.respond.alerts.tests.parts import silencing
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.models import Attempt, Delivery, Group, GroupMember
from mainstay.respond.delivery.sending.groups import compose
from mainstay.respond.delivery.sending.record import Sent
from mainstay.respond.delivery.sending.send import Sender
from mainstay.respond.rules.engine.overdue import Lookout
from mainstay.respond.rules.models import Instance, Rule, RuleGroup, RuleState

pytestmark = pytest.mark.django_db
SHAPES = ["null", "5", '"text"', "[]", '[1, {"a": 2}, null, [3]]', '{"a": {"b": 1}}', '{"severity": 5, "a": null}']


def write(row: Any, column: str, value: Any) -> None:
    """As a hand does, past all our code."""
    table, key = row._meta.db_table, row._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE {table} SET "{column}" = %s WHERE "{key}" = %s', [value, row.pk])


@pytest.fixture
def here() -> Desk:
    return desk()


@pytest.fixture
def other(here: Desk) -> Check:
    """A check that has nothing to do with the row."""
    spec = {"name": "other", "http": {"url": "http://127.0.0.1:1/"}, "fail_after": 1, "severity": "critical"}
    return put_check(here.application, CheckSpec.model_validate(spec), COMMAND_LINE, now())


class Idle:
    """A prober and a store of metrics that hold nothing."""

    def update(self, planned: Any, removed: Any = ()) -> None: ...
    def held(self) -> dict[int, int]:
        return {}

    def know(self, *_: Any) -> None: ...
    def forget(self, *_: Any) -> None: ...
    def known(self) -> dict[int, int]:
        return {}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("column", ["labels", "config"])
def test_a_check_of_any_shape_keeps_no_other_from_being_watched(
    here: Desk, other: Check, column: str, shape: str
) -> None:
    write(here.check, column, shape)
    held = Watch()
    Holding(held, Idle(), Idle()).round(frozenset(range(64)), now())
    assert other.pk in held.checks


BAD = [
    *((model, column, shape) for model, column in ((Route, "match"), (Route, "notify"), (Route, "fallback"),
      (Route, "times"), (Silence, "match"), (Maintenance, "match"), (Alert, "labels"), (Alert, "annotations"))
      for shape in SHAPES),
    (Route, "remind_every_s", 1e308), (Route, "remind_every_s", -1.0), (Maintenance, "time_zone", "nonsense"),
    (Maintenance, "cron", "nonsense"), (Maintenance, "duration_s", 1e308),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("model", "column", "value"), BAD)
def test_whatever_one_row_of_those_around_alerts_holds_others_page_and_pages_are_shown(
    here: Desk, other: Check, model: Any, column: str, value: Any
) -> None:
    Route.objects.create(
        name="bad", position=0, match={"severity": "critical"}, notify=["ops"], also=True, created_at=now()
    )
    Maintenance.objects.create(name="bad", cron="0 3 * * *", duration_s=60, created_by="x", created_at=now())
    named = {"pk": here.places["silence_id"]} if model is Silence else {"name": "bad"}
    row = model.objects.filter(**named).first()
    write(row or here.alert, column, value)
    see(watch(other), down(other))
    assert CheckState.objects.get(pk=other.pk).health == "down"
    assert Delivery.objects.filter(subject_name__contains="other", event="trigger").count() == 1
    client = signed_in()
    for address in ("/", "/alerts/", "/checks/", "/silences/", "/channels/", f"/alerts/{Alert.objects.last().pk}/"):
        assert client.get(address).status_code == 200, address
    silence(silencing({"check": "x"}, now(), now() + timedelta(hours=1), "why"), COMMAND_LINE, now())


def test_a_route_that_cannot_be_used_is_named(here: Desk) -> None:
    write(here.route, "times", '{"days": ["mon"], "from": "x"}')
    assert routes() == ()
    told = next(one for one in notices.told() if one["code"] == "unreadable route")
    assert str(here.route.pk) in str(told["detail"])
    write(here.route, "times", "{}")
    assert [one.name for one in routes()] == [here.route.name]
    assert not any(one["code"] == "unreadable route" for one in notices.told())


def test_a_match_that_cannot_be_read_matches_nothing_rather_than_more(here: Desk) -> None:
    write(here.route, "match", '{"severity": {"is": "critical"}, "application": "shop"}')
    assert not route_of(Route.objects.get()).match.matches({"severity": "critical", "application": "shop"})
    assert route_of(Route.objects.get()).match != {}


@pytest.mark.parametrize("at", [datetime(9999, 12, 31, 23, 59, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)])
def test_a_ping_of_any_time_keeps_no_other_from_being_understood(at: datetime) -> None:
    bad, good = heartbeat("bad"), heartbeat("good")
    held = watch(bad, good)
    Ping.objects.create(check_ref=bad, at=at, kind="success")
    Ping.objects.create(check_ref=good, at=now(), kind="success")
    arrivals.take(held, Ping.objects.filter(handled=False).order_by("id"))
    assert not Ping.objects.filter(handled=False).exists()
    assert CheckState.objects.get(pk=good.pk).health == "up"
    arrivals.miss(held, now())


def test_a_result_of_the_year_one_keeps_nothing_from_being_cleared_away(here: Desk) -> None:
    Result.objects.update(at=datetime(1, 1, 1, tzinfo=UTC))
    retention.trim(retention.trusted(now()), 86_400)
    assert not Result.objects.exists()


@pytest.mark.parametrize("item", ["", "nonsense", "9" * 40, "٣"])
@pytest.mark.parametrize("deaths", SHAPES)
def test_whatever_is_suspected_a_process_starts(here: Desk, other: Check, item: str, deaths: str) -> None:
    aside = Suspect.objects.create(kind="check", item=item, version="0", suspected_at=now(), set_aside_at=now())
    suspect = Suspect.objects.create(kind="check", item=str(other.pk), version="0", deaths=[], suspected_at=now())
    write(suspect, "deaths", deaths)
    setaside.blame(Death((("check", item), ("check", str(other.pk))), "stacks"), "monitor", now())
    Runner("monitor", [])._register(now())
    setaside.refresh(now())
    assert not Suspect.objects.filter(pk=aside.pk).exists()
    assert len(Suspect.objects.get(pk=suspect.pk).deaths) == 1


@pytest.mark.parametrize("detail", [*SHAPES, '{"notices": [5, {"code": []}, {"code": 1, "title": 2}]}'])
def test_whatever_a_process_says_of_itself_now_is_shown(here: Desk, detail: str) -> None:
    row = Process.objects.create(role="monitor", host="h", pid=1, boot="x", started_at=now(), beat_at=now())
    write(row, "detail", detail)
    assert signed_in().get("/").status_code == 200


@pytest.mark.parametrize(
    ("model", "column", "value"),
    [*((model, "labels", shape) for model in (Rule, RuleGroup) for shape in SHAPES), (RuleGroup, "every_s", 1e308)],
)
def test_one_bad_rule_keeps_no_other_from_being_told(here: Desk, model: Any, column: str, value: Any) -> None:
    long_ago = now() - timedelta(hours=3)
    bad = Rule.objects.get(pk=here.places["rule_id"])
    group = RuleGroup.objects.create(name="other", created_at=now())
    good = Rule.objects.create(group=group, position=0, alerts=True, name="Good", expr="up == 0")
    for rule in (bad, good):
        RuleState.objects.update_or_create(rule=rule, defaults={"health": "err", "since": long_ago, "reason": "no"})
    Rule.objects.filter(alerts=False).delete()
    write(bad if model is Rule else bad.group, column, value)
    Lookout().cycle(now(), 0)
    assert Alert.objects.filter(source=f"rule:{good.pk}:health", ended_at=None).exists()


# --- every model, every list ------------------------------------------------------------------------------------------

WORDS = (models.CharField, models.TextField)
WRONG: list[tuple[tuple[Any, ...], list[Any]]] = [
    ((models.JSONField,), ["5", '{"a": {"b": 1}}']),
    ((models.DateTimeField,), ["9999-12-31 23:59:59+00:00", "9999-12-31 23:59:59", "0001-01-01 00:00:00"]),
    ((models.FloatField,), [float("inf")]),
    ((models.IntegerField,), [2**31 - 1]),
    (WORDS, ["nonsense", None]),
]
NAMES = {"name", "email", "key", "digest"}  # what a row is known by is another row's, not a wrong one
LISTS = [
    *("/", "/applications/", "/checks/", "/alerts/", "/channels/", "/deliveries/", "/rules/", "/silences/", "/tokens/"),
    *("/maintenance/", "/people/", "/teams/", "/targets/", "/journal/", "/settings/"),
    *(f"/api/v1/{each}" for each in ("status", "applications", "checks", "alerts", "channels", "deliveries", "rules")),
    *(f"/api/v1/{each}" for each in ("silences", "maintenance", "users", "teams", "tokens", "routes", "scrapes")),
]


def fill(here: Desk) -> None:
    """A row of what a desk has none of, where lists show or count it."""
    at = now()
    Process.objects.create(role="monitor", host="h", pid=1, boot="x", started_at=at, beat_at=at)
    Suspect.objects.create(
        kind="check", item=str(here.check.pk), version="0", deaths=[], suspected_at=at, set_aside_at=at
    )
    group = Group.objects.create(channel=here.channel, channel_name="ops", thread="g", created_at=at)
    GroupMember.objects.create(
        group=group, channel=here.channel, thread=here.delivery.thread, delivery=here.delivery, urgency=2,
        state="open", joined_at=at,
    )  # fmt: skip
    kept = {"labels": {"a": "b"}, "annotations": {}, "state": "firing", "value": "1", "active_at_ms": 1_700_000_000_000}
    rule = Rule.objects.get(pk=here.places["rule_id"])
    Instance.objects.create(rule=rule, fingerprint="0a1b", state="firing", kept=kept, changed_at=at)
    Hour.objects.create(check_ref=here.check, hour=at.replace(minute=0, second=0, microsecond=0))
    Downtime.objects.create(check_ref=here.check, application=here.application, health="down", started_at=at)
    Applying.objects.create(claim="x", claimed_until=at, started_at=at, file="f", managed_as="f", actor="x")
    Canary.objects.create(sealed="x")
    Attempt.objects.create(delivery=here.delivery, at=at, duration_s=0.1, outcome="delivered")
    Lease.objects.get_or_create(shard=0)
    seal_once(at)


_asked: dict[str, str] = {}  # list → what it asks the database, which is the same for each model


def lists_of(model: type[models.Model], client: Client, token: str) -> list[str]:
    """The lists that read a model's table."""
    for address in LISTS if not _asked else ():
        with CaptureQueriesContext(connection) as asked:
            (Client(headers={"Authorization": f"Bearer {token}"}) if "/api/" in address else client).get(address)
        _asked[address] = "\n".join(one["sql"] for one in asked.captured_queries)
    return [address for address in LISTS if f'"{model._meta.db_table}"' in _asked[address]]


NOT_LISTED = {"accounts.SignInLink", "api.IdempotentRequest", "delivery.Thread"}
MODELS = [model for model in apps.get_models() if model.__module__.startswith("mainstay.")]


@pytest.mark.long
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_whatever_one_row_of_any_model_holds_every_list_is_shown(here: Desk, model: type[models.Model]) -> None:
    fill(here)
    client, token = signed_in(), caller().token
    client.raise_request_exception = False
    # Not the person and the token that look: the first rows are the desk's own.
    row: Any = model._default_manager.order_by("pk").first()
    broken = []
    lists = lists_of(model, client, token)
    if model._meta.label in NOT_LISTED:
        assert not lists
        return
    assert row is not None, "the desk has none: fill it, or say in NOT_LISTED that no list reads it"
    for kinds, values in WRONG:
        columns = [
            each for each in model._meta.concrete_fields
            if isinstance(each, kinds) and not each.primary_key and each.name not in NAMES
        ]  # fmt: skip
        for value in values if columns else ():
            with suppress(Undone), transaction.atomic():
                for each in columns:
                    with suppress(DatabaseError, ValueError), transaction.atomic():
                        write(row, each.column, value)
                for address in lists:
                    headers = {"Authorization": f"Bearer {token}"} if address.startswith("/api/") else {}
                    asking = Client(raise_request_exception=False) if headers else client
                    with transaction.atomic():
                        if asking.get(address, headers=headers).status_code != 200:
                            broken.append((kinds[0].__name__, value, address))
                raise Undone
    assert not broken


class Undone(Exception):
    """What was written is taken back."""


# --- delivery -------------------------------------------------------------------------------------------------------


@pytest.fixture
def group(here: Desk) -> Group:
    """A group of two alerts whose message is to be written."""
    made = Group.objects.create(channel=here.channel, channel_name="ops", thread="g", created_at=now())
    for number in range(2):
        page = here.delivery
        page.pk, page.key, page.thread = None, f"k{number}", f"t{number}"
        page.save(force_insert=True)
        GroupMember.objects.create(
            group=made,
            channel=here.channel,
            thread=page.thread,
            delivery=page,
            urgency=2,
            state="open",
            joined_at=now(),
        )
    return made


def of_group(group: Group) -> Delivery:
    return Delivery.objects.create(
        channel=group.channel, channel_name="ops", event="trigger", thread="g", key="g", message="",
        subject=f"group:{group.pk}", subject_name="g", group=group, created_at=now(), due_at=now(),
    )  # fmt: skip


def far(stored: str) -> str:
    return json.dumps(json.loads(stored) | {"starts_at": "0001-01-01T00:00:00+14:00"})


@pytest.mark.parametrize("spoil", [far, lambda _: "[" * 50_000, lambda _: "5", lambda _: "", lambda _: '{"labels": 5}'])
def test_one_page_that_cannot_be_read_keeps_no_group_from_being_told(group: Group, spoil: Callable[[str], str]) -> None:
    page = Delivery.objects.get(key="k0")
    write(page, "message", spoil(page.message))
    said = json.loads(compose(of_group(group), now()))
    assert said["title"].endswith("2 alerts are firing")


def test_a_member_of_any_urgency_keeps_no_group_from_being_told(group: Group) -> None:
    GroupMember.objects.filter(thread="t0").update(urgency=30_000)
    said = json.loads(compose(of_group(group), now()))
    assert said["title"].endswith("2 alerts are firing")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("column", "value"), [("attempts", 2**31 - 1), ("subject", "nonsense")])
def test_what_arrived_and_cannot_be_recorded_is_not_sent_again_and_the_next_is_recorded(
    column: str, value: Any
) -> None:
    here = desk()
    first = here.delivery
    second = Delivery.objects.get(pk=first.pk)
    second.pk, second.key, second.thread = None, "second", "second"
    second.save(force_insert=True)
    Delivery.objects.update(status="sending", claimed_by=7)
    write(first, column, value)
    sender = Sender(None)  # type: ignore[arg-type]  # nothing is sent here
    for one in (first, second):
        sender._sent.put(Sent(one.pk, now(), 0.1, Receipt("delivered", "HTTP 200."), 7))
        sender._sent.put(None) if one is second else None
    sender._recorder.join(10)
    assert not sender._recorder.is_alive()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
