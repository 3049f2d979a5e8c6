"""Applying a file: all of it or nothing, once; taking over, removing, ordering, keeping secrets."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model

from mainstay.config.apply import Outcome, apply_text, plan_text
from mainstay.config.export import export
from mainstay.config.plan import Verb
from mainstay.config.reference import CONTRACT
from mainstay.foundation.accounts.actions import create_user
from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.accounts.models import Team
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.actions import put_application
from mainstay.foundation.catalog.models import Application, Component, Dependency
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.secrets import MASK, seal
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.checks.spec import CheckSpec
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery import actions as delivery
from mainstay.respond.delivery.models import Channel
from mainstay.respond.delivery.spec import ChannelSpec

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[3]

WHOLE = """\
teams:
  - {name: Shop team, email: shop@example.org, members: [sam@example.org, Kim@example.org]}
applications:
  - name: shop
    owner: Shop team
    environments: [{name: staging}, {name: production}]
    components: [{name: web, needs: [database, shop/cache, pay/api]}, {name: database}, {name: cache}]
    checks:
      - name: a
        needs: [pay/p, c, b]
        component: web
        environment: staging
        http: {url: "http://127.0.0.1/", method: GET}
      - {name: b, tcp: {host: 127.0.0.1, port: 5432}, fail_after: 3, recover_after: 2, every: 60s}
      - {name: c, heartbeat: {every: 1d}, fail_after: 1}
  - name: pay
    components: [{name: api, needs: []}]
    checks: [{name: p, http: {url: "http://127.0.0.1/p", bearer: geheim, secret_headers: {X-Key: abc}}}]
channels:
  - {name: ops, webhook: {url: "http://127.0.0.1:9999/hook", secret: correct-horse}}
  - {name: boss, email: {url: "smtp://127.0.0.1", from: a@example.org, to: [b@example.org]}, paused: true}
routes:
  - {name: nights, match: {severity: [critical, major]}, notify: [ops], hours: {from: 18:00, to: 08:00, timezone: UTC}}
  - {match: {severity: critical}, notify: [ops], fallback: [boss], remind_every: 15m, also: true}
  - {notify: [boss]}
maintenance:
  - {name: backup, application: shop, match: {kind: tcp}, cron: "0 3 * * *", duration: 1h, timezone: Europe/Berlin}
  - {name: move, starts_at: 2026-08-01T22:00, ends_at: "2026-08-02T04:00:00+02:00", timezone: Europe/Berlin}
"""


@pytest.fixture
def people(me: Actor, noon: datetime) -> None:
    for address in ("sam@example.org", "kim@example.org"):
        create_user(address, Role.DEVELOPER, "", me, noon)


def applied(text: str, me: Actor, noon: datetime, name: str = "shop.yaml") -> Outcome:
    outcome = apply_text(text, name, me, noon)
    assert [problem.shown(name) for problem in outcome.problems] == []
    assert outcome.applied
    return outcome


def brief(outcome: Outcome) -> list[str]:
    return [f"{change.verb.value} {change.kind} {change.name}" for change in outcome.changes if change.matters]


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    found = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
            found[table] = cursor.fetchall()
    return found


def test_the_file_of_the_contract_works_as_it_stands(me: Actor, noon: datetime) -> None:
    outcome = applied(CONTRACT, me, noon)
    assert outcome.counts == {"add": 5, "change": 0, "remove": 0, "keep": 0, "adopt": 0}
    check = Check.objects.get(name="storefront")
    assert (check.every_s, check.fail_after, check.severity, check.managed_by) == (5.0, 2, "critical", "shop.yaml")
    assert check.environment is not None
    assert check.environment.url == "http://127.0.0.1:9001"
    assert Check.objects.get(name="nightly-import").kind == "heartbeat"
    assert Route.objects.get().name == "severity-critical"
    entry = Entry.objects.get(kind="config.applied")
    assert entry.sentence() == "The file shop.yaml was applied: 5 added, 0 changed, 0 removed, 0 taken over"
    assert "add check shop/storefront" in entry.facts["changes"]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("text", [CONTRACT, WHOLE, (ROOT / "examples/shop.yaml").read_text(encoding="utf-8")])
def test_applied_again_a_file_writes_no_entry_and_touches_no_row(text: str, me: Actor, noon: datetime) -> None:
    applied(text, me, noon)
    before = everything()
    outcome = applied(text, me, noon)
    assert outcome.changes_nothing
    assert everything() == before


@pytest.mark.usefixtures("people")
def test_the_same_written_otherwise_changes_nothing(me: Actor, noon: datetime) -> None:
    applied(WHOLE, me, noon)
    other = (
        WHOLE.replace("[{name: staging}, {name: production}]", "[{name: production}, {name: staging}]")
        .replace("[database, shop/cache, pay/api]", "[pay/api, cache, database]")
        .replace("[pay/p, c, b]", "[b, shop/c, pay/p]")
        .replace(", method: GET", "")
        .replace(", fail_after: 3, recover_after: 2, every: 60s", ", every: 1m")
        .replace("2026-08-01T22:00,", "2026-08-01T20:00:00Z,")
        .replace("Kim@example.org", "kim@example.org")
    )
    assert other != WHOLE
    assert brief(plan_text(other, "shop.yaml", me, noon)) == []


def test_a_plan_changes_nothing_and_tells_each_field(me: Actor, noon: datetime) -> None:
    applied(CONTRACT, me, noon)
    before = everything()
    text = CONTRACT.replace("status: 200", "status: 204").replace("every: 5s", "every: 10s").replace("/hook", "/other")
    outcome = plan_text(text, "shop.yaml", me, noon)
    assert brief(outcome) == ["change check shop/storefront", "change channel ops"]
    told = {field.field: (field.before, field.after) for change in outcome.changes for field in change.fields}
    assert told == {
        "http.expect.status": (200, 204),
        "every": ("5s", "10s"),
        "webhook.url": ("********", "********"),  # it may hold a token, so it is kept like one
    }
    assert everything() == before


def test_the_journal_tells_only_the_fields_that_changed(me: Actor, noon: datetime) -> None:
    text = WHOLE[WHOLE.index("applications") : WHOLE.index("channels")].replace("    owner: Shop team\n", "")
    applied(text, me, noon)
    moved = text.replace("[{name: staging}, {name: production}]", "[{name: production}, {name: staging}, {name: test}]")
    moved = moved.replace("[pay/p, c, b]", "[b, c, pay/p]").replace("method: GET", "method: HEAD")
    applied(moved, me, noon)
    entries = Entry.objects.filter(kind__endswith=".edited").order_by("id")
    assert [(entry.subject_name, entry.facts["fields"]) for entry in entries] == [
        ("shop", ["environments"]),
        ("shop/a", ["http"]),
    ]
    applied(moved.replace("        needs: [b, c, pay/p]\n", ""), me, noon)
    assert Check.objects.get(name="a").needs.count() == 0
    entry = Entry.objects.filter(kind="check.edited").latest("id")
    assert entry.facts["fields"] == ["needs"]


def test_what_a_file_no_longer_names_goes_and_what_it_never_managed_stays(me: Actor, noon: datetime) -> None:
    applied(CONTRACT, me, noon)
    shop = Application.objects.get()
    by_hand = CheckSpec.model_validate({"name": "by-hand", "tcp": {"host": "127.0.0.1", "port": 1}})
    checks.put_check(shop, by_hand, me, noon)
    delivery.put_channel(ChannelSpec.model_validate({"name": "own", "webhook": {"url": "http://127.0.0.1/"}}), me, noon)
    text = CONTRACT.replace("      - name: nightly-import", "      # gone").replace(
        "        heartbeat", "        # gone"
    )
    text = text[: text.index("channels:")]
    outcome = applied(text, me, noon)
    assert brief(outcome) == [
        "remove check shop/nightly-import",
        "remove channel ops",
        "remove route severity-critical",
    ]
    assert set(Check.objects.values_list("name", flat=True)) == {"storefront", "by-hand"}
    assert set(Channel.objects.values_list("name", flat=True)) == {"own"}
    outcome = applied("applications: []\n", me, noon)
    assert brief(outcome) == [
        "remove application shop",
        "remove check shop/by-hand",
        "remove check shop/storefront",
    ] or brief(outcome) == ["remove application shop", "remove check shop/storefront", "remove check shop/by-hand"]
    assert not Check.objects.exists()
    assert Entry.objects.filter(kind="check.removed").count() == 3


def test_the_alert_of_a_removed_application_ends(me: Actor, noon: datetime) -> None:
    applied(CONTRACT, me, noon)
    check = Check.objects.get(name="storefront")
    from mainstay.respond.alerts.actions import fire
    from mainstay.respond.alerts.sources.checks import of_check

    fire(of_check(check, "critical", "down", ""), noon)
    applied("applications: []\n", me, noon)
    assert Alert.objects.get().ended_at == noon


def test_what_exists_unmanaged_is_taken_over(me: Actor, noon: datetime) -> None:
    shop = put_application(ApplicationSpec.model_validate({"name": "shop", "tier": "critical"}), me, noon)
    checks.put_check(shop, CheckSpec.model_validate({"name": "storefront", "tcp": {"host": "h", "port": 1}}), me, noon)
    outcome = plan_text(CONTRACT, "shop.yaml", me, noon)
    adopted = {(change.kind, change.name): change.verb for change in outcome.changes if change.adopted}
    assert adopted == {("application", "shop"): Verb.CHANGE, ("check", "shop/storefront"): Verb.CHANGE}
    applied(CONTRACT, me, noon)
    assert set(Check.objects.values_list("managed_by", flat=True)) == {"shop.yaml"}
    assert Check.objects.filter(name="storefront").count() == 1
    assert applied(CONTRACT, me, noon).changes_nothing


def test_what_is_already_so_is_taken_over_without_an_edit(me: Actor, noon: datetime) -> None:
    spec = ChannelSpec.model_validate({"name": "ops", "webhook": {"url": "http://127.0.0.1:9999/hook"}})
    delivery.put_channel(spec, me, noon)
    text = CONTRACT[CONTRACT.index("channels:") : CONTRACT.index("routes:")]
    outcome = applied(text, me, noon)
    assert [(change.verb, change.adopted) for change in outcome.changes] == [(Verb.KEEP, True)]
    assert Channel.objects.get().managed_by == "shop.yaml"
    assert not Entry.objects.filter(kind="channel.edited").exists()
    assert Entry.objects.get(kind="config.applied").facts["changes"] == ["adopt channel ops"]


def test_a_file_is_applied_whole_or_not_at_all(me: Actor, noon: datetime) -> None:
    """The team is refused last, by an action that no plan foresees: it owns an application that came in between."""
    applied(CONTRACT, me, noon)
    before = everything()
    outcome = apply_text(CONTRACT.replace("every: 5s", "every: 6s").replace("[ops]", "[nobody]"), "shop.yaml", me, noon)
    assert not outcome.applied
    assert everything() == before


def test_a_refusal_of_an_action_takes_everything_back(
    me: Actor, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mainstay.foundation.refusal import Refused

    def refuse(*_: object, **__: object) -> None:
        raise Refused("not today", "notify")

    monkeypatch.setattr("mainstay.respond.alerts.routes.put_route", refuse)
    before = {table: rows for table, rows in everything().items() if table != "processes_revision"}
    outcome = apply_text(CONTRACT, "shop.yaml", me, noon)
    assert [problem.shown("f") for problem in outcome.problems] == ["f:21:13: routes[0].notify: not today"]
    assert {table: rows for table, rows in everything().items() if table != "processes_revision"} == before


@pytest.mark.usefixtures("people")
def test_dependencies_may_point_forward_and_across_applications(me: Actor, noon: datetime) -> None:
    applied(WHOLE, me, noon)
    pairs = Dependency.objects.values_list("component__name", "needs__application__name", "needs__name")
    assert set(pairs) == {("web", "shop", "database"), ("web", "shop", "cache"), ("web", "pay", "api")}
    assert {str(needed) for needed in Check.objects.get(name="a").needs.all()} == {"shop/b", "shop/c", "pay/p"}
    assert Team.objects.get().members.count() == 2
    move = Maintenance.objects.get(name="move")
    assert (move.starts_at, move.ends_at) == (
        datetime.fromisoformat("2026-08-01T20:00Z"),
        datetime.fromisoformat("2026-08-02T02:00Z"),
    )


def test_a_cycle_through_what_is_there_already_is_named(me: Actor, noon: datetime) -> None:
    applied("applications: [{name: a, components: [{name: x}]}]", me, noon, "a.yaml")
    applied("applications: [{name: b, components: [{name: y, needs: [a/x]}]}]", me, noon, "b.yaml")
    outcome = apply_text("applications: [{name: a, components: [{name: x, needs: [b/y]}]}]", "a.yaml", me, noon)
    (problem,) = outcome.problems
    assert "cycle: a/x → b/y → a/x" in problem.detail
    assert (problem.line, problem.path) == (1, "applications[a].components[x].needs")
    assert Component.objects.count() == 2


def routes_in_order() -> list[str]:
    return list(Route.objects.values_list("name", flat=True))


def test_routes_stand_in_the_order_of_the_file(me: Actor, noon: datetime) -> None:
    def text(*names: str) -> str:
        return "routes:\n" + "".join(f"  - {{name: {name}, match: {{team: x}}}}\n" for name in names)

    put_route(RouteSpec(name="first-by-hand", match={"team": "x"}), me, noon)
    applied(text("a", "b", "c"), me, noon)
    put_route(RouteSpec(name="last-by-hand", match={"team": "x"}), me, noon)
    assert routes_in_order() == ["first-by-hand", "a", "b", "c", "last-by-hand"]
    outcome = applied(text("c", "new", "a"), me, noon)
    assert routes_in_order() == ["first-by-hand", "c", "new", "a", "last-by-hand"]
    assert brief(outcome) == ["change route c", "add route new", "change route a", "remove route b"]
    assert applied(text("c", "new", "a"), me, noon).changes_nothing
    applied(text("c", "new", "a", "z"), me, noon)
    assert routes_in_order() == ["first-by-hand", "c", "new", "a", "z", "last-by-hand"]


def test_a_mask_keeps_the_stored_secret(me: Actor, noon: datetime) -> None:
    text = "channels:\n  - {name: ops, webhook: {url: 'http://127.0.0.1/t0ken', secret: correct-horse}}\n"
    applied(text, me, noon)
    masked = text.replace("http://127.0.0.1/t0ken", "********").replace("correct-horse", "'********'")
    assert applied(masked, me, noon).changes_nothing
    applied(masked.replace("secret", "method: PUT, secret"), me, noon)
    settings: Any = delivery.spec_of(Channel.objects.get()).settings
    assert settings.url.get_secret_value() == "http://127.0.0.1/t0ken"
    assert settings.secret.get_secret_value() == "correct-horse"
    assert settings.method == "PUT"


def test_a_channel_that_others_notify_is_not_removed(me: Actor, noon: datetime) -> None:
    applied("channels: [{name: ops, webhook: {url: 'http://127.0.0.1/'}}]", me, noon)
    put_route(RouteSpec(name="by-hand", notify=["ops"]), me, noon)
    (problem,) = apply_text("channels: []", "shop.yaml", me, noon).problems
    assert problem.shown("f") == (
        "f: channels[ops]: cannot be removed: the route by-hand notifies it; change that route first"
    )


def test_of_a_section_that_is_empty_nothing_goes_and_nothing_else_is_said(me: Actor, noon: datetime) -> None:
    applied("channels: [{name: ops, webhook: {url: 'http://127.0.0.1/'}}]", me, noon)
    put_route(RouteSpec(name="by-hand", notify=["ops"]), me, noon)
    for text in ("channels:\n", "channels: ~\nroutes: [{name: a, notify: [ops]}]\n"):
        (problem,) = apply_text(text, "shop.yaml", me, noon).problems
        assert problem.shown("f").endswith("channels: is empty; write channels: [] for none")
    assert Channel.objects.exists()


def test_a_team_that_still_owns_something_is_not_removed(me: Actor, noon: datetime) -> None:
    applied("teams: [{name: Shop}]", me, noon)
    put_application(ApplicationSpec(name="own", owner="Shop"), me, noon)
    (problem,) = apply_text("teams: []", "shop.yaml", me, noon).problems
    assert "cannot be removed: it still owns own" in problem.detail


def test_maintenance_that_a_file_no_longer_names_is_called_off(me: Actor, noon: datetime) -> None:
    text = "maintenance: [{name: night, cron: '0 3 * * *', duration: 1h}]"
    applied(text, me, noon)
    applied("maintenance: []", me, noon)
    assert Maintenance.objects.get().cancelled_at == noon
    applied(text, me, noon)
    assert Maintenance.objects.filter(cancelled_at=None).count() == 1


def test_variables_of_the_server_are_not_read_unless_given(
    me: Actor, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBE_SECRET", "hunter2")
    text = "channels: [{name: ops, webhook: {url: 'http://127.0.0.1/${PROBE_SECRET}'}}]"
    (problem,) = plan_text(text, "shop.yaml", me, noon).problems
    assert "needs the environment variable PROBE_SECRET, which is not set" in problem.detail


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.ADMIN, Role.DEVOPS}])
def test_only_those_who_may_apply_files_may(role: Role, noon: datetime) -> None:
    actor = Actor("user:1", "Sam", role)
    for act in (plan_text, apply_text):
        with pytest.raises(NotAllowed):
            act(CONTRACT, "shop.yaml", actor, noon)


@pytest.mark.usefixtures("people")
def test_the_role_devops_may_apply_everything(noon: datetime) -> None:
    assert apply_text(WHOLE, "shop.yaml", Actor("user:1", "Sam", Role.DEVOPS), noon).applied


def test_a_stored_secret_of_another_key_stops_only_the_file_that_would_keep_it(me: Actor, noon: datetime) -> None:
    given = "channels: [{name: ops, webhook: {url: 'http://127.0.0.1/', secret: 'correct-horse'}}]"
    applied(given, me, noon)
    Channel.objects.update(config={"url": "http://127.0.0.1/", "secret": seal("x", "another key")})
    (problem,) = plan_text(given.replace("correct-horse", MASK), "shop.yaml", me, noon).problems
    assert "cannot be decrypted with the present key" in problem.detail
    (change,) = applied(given, me, noon).changes
    assert change.note == "written anew, since what is stored cannot be read"
    assert export(noon).missing == ()


BROKEN: dict[str, tuple[str, str, type[Model], dict[str, Any]]] = {
    "a check without its address": ("check", "shop/a", Check, {"config": {}}),
    "a check of no kind": ("check", "shop/a", Check, {"kind": "telepathy"}),
    "a check whose settings are a list": ("check", "shop/a", Check, {"config": [1]}),
    "a channel of no kind": ("channel", "ops", Channel, {"kind": "pigeon"}),
    "a channel whose secret is torn": ("channel", "ops", Channel, {"config": {"url": {"sealed": 7}}}),
    "a route of no severity": ("route", "nights", Route, {"match": {"severity": ["dreadful"]}}),
    "a window of a matcher that is none": ("maintenance", "backup", Maintenance, {"match": {"kind": {"a": [None]}}}),
}


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("what", BROKEN)
def test_a_row_that_cannot_be_read_stops_no_other_and_is_written_anew_by_its_file(
    me: Actor, noon: datetime, what: str
) -> None:
    kind, name, model, broken = BROKEN[what]
    applied(WHOLE, me, noon)
    model._default_manager.filter(name=name.rpartition("/")[2]).update(**broken)
    applied("teams: [{name: Others}]", me, noon, "others.yaml")
    exported = export(noon)
    if exported.missing:
        assert exported.missing[0].startswith(f"the {kind} {name}: what is stored cannot be read")
        assert f"# NOT HERE: the {kind} {name}" in exported.text()
    assert brief(applied(WHOLE, me, noon)) == [f"change {kind} {name}"]
    assert export(noon).missing == ()
    assert brief(applied(WHOLE, me, noon)) == []
    model._default_manager.filter(name=name.rpartition("/")[2]).update(**broken)
    applied("teams: []", me, noon)
