"""What people do with checks and maintenance: permission, refusals, secrets, and what an edit resets."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.actions import remove_application
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.refusal import Managed, Refused
from mainstay.foundation.secrets import MASK, SEALED_PREFIX, keep_masked, seal
from mainstay.observe.checks import actions
from mainstay.observe.checks.models import Check, CheckState, Downtime, Hour, Maintenance, Ping, Result
from mainstay.observe.checks.tests.parts import NOON, after, application, check, down, heartbeat, see, spec, up, watch
from mainstay.observe.checks.windows import Window
from tests.database import at_once

pytestmark = pytest.mark.django_db
VIEWER = Actor("user:9", "Viewer", Role.STAKEHOLDER)
SUPPORT = Actor("user:8", "Support", Role.SUPPORT)


def kinds() -> list[str]:
    return list(Entry.objects.order_by("id").values_list("kind", flat=True))


def test_a_new_check_is_journalled_and_counted_for_the_monitor() -> None:
    row = check()
    assert kinds() == ["check.created"]
    assert Revision.current("checks") == 1
    assert (row.state.health, row.version) == ("unknown", 0)


def test_an_edit_that_changes_nothing_is_no_fact(me: Actor) -> None:
    row = check()
    actions.put_check(row.application, spec(), me, after(1), existing=row)
    assert kinds() == ["check.created"]


def test_an_edit_names_the_fields(me: Actor) -> None:
    row = check()
    actions.put_check(row.application, spec(severity="minor", labels={"a": "b"}), me, after(1), existing=row)
    assert Entry.objects.get(kind="check.edited").facts == {"fields": ["severity", "labels"]}
    row.refresh_from_db()
    assert row.version == 1


def test_another_target_starts_anew(me: Actor) -> None:
    row = check()
    see(watch(row), up(row), down(row, 1))
    other = spec(http={"url": "http://127.0.0.1:1/elsewhere"})
    actions.put_check(row.application, other, me, after(2), existing=row)
    state = CheckState.objects.get()
    assert (state.health, state.failures, state.changes) == ("unknown", 0, 3)
    assert Downtime.objects.get().ended_at == after(2)
    assert "check.reset" in kinds()


def test_a_refused_edit_changes_neither_the_row_nor_the_callers_copy(me: Actor) -> None:
    row = check()
    with pytest.raises(Refused, match="no environment named mars"):
        actions.put_check(row.application, spec(severity="minor", environment="mars"), me, after(1), existing=row)
    assert row.severity == "major"
    assert Check.objects.get().severity == "major"


def test_a_name_is_taken_once_per_application(me: Actor) -> None:
    check()
    with pytest.raises(Refused, match="already") as refused:
        check()
    assert refused.value.conflict
    check(of="other")


@pytest.mark.parametrize("actor", [VIEWER, SUPPORT])
def test_only_who_may_edit_checks_does(actor: Actor) -> None:
    row = check()
    for act in (
        lambda: actions.put_check(row.application, spec("new"), actor, NOON),
        lambda: actions.put_check(row.application, spec(), actor, NOON, existing=row),
        lambda: actions.remove_check(row, actor, NOON),
    ):
        with pytest.raises(NotAllowed, match=r"checks\.edit"):
            act()
    assert kinds() == ["check.created"]


def test_what_a_file_describes_is_edited_there(me: Actor) -> None:
    row = actions.put_check(application(), spec(), me, NOON, by_file="shop.yaml")
    with pytest.raises(Managed, match=r"mainstay apply shop\.yaml"):
        actions.put_check(row.application, spec(severity="minor"), me, NOON, existing=row)
    with pytest.raises(Managed):
        actions.remove_check(row, me, NOON)
    with pytest.raises(Managed):
        actions.put_check(row.application, spec(), me, NOON, existing=row, by_file="other.yaml")
    actions.put_check(row.application, spec(severity="minor"), me, NOON, existing=row, by_file="shop.yaml")
    actions.pause(row, SUPPORT, after(1), paused=True)  # at night it must be possible
    assert Check.objects.get().paused


def test_pausing_forgets_and_tells_once() -> None:
    row = check()
    see(watch(row), up(row), down(row, 1))
    for _ in range(2):
        actions.pause(row, SUPPORT, after(2), paused=True)
    state = CheckState.objects.get()
    assert (state.health, state.since, Downtime.objects.get().ended_at) == ("unknown", after(2), after(2))
    assert kinds().count("check.paused") == 1


def test_a_circle_of_needs_is_refused_and_named(me: Actor) -> None:
    a, b, c = check("a"), check("b", needs=["a"]), check("c", needs=["b"])
    with pytest.raises(Refused, match=r"shop/\w → shop/\w → shop/\w → shop/\w"):
        actions.set_needs(a, ["c"])
    a.refresh_from_db()
    assert not a.needs.exists()
    with pytest.raises(Refused, match="cannot need itself"):
        actions.set_needs(b, ["b"])
    with pytest.raises(Refused, match="no check named nowhere/x exists"):
        actions.set_needs(c, ["nowhere/x"])


def test_needs_reach_over_applications() -> None:
    check("db", of="platform")
    row = check(needs=["platform/db"])
    assert actions.spec_of(row).needs == ["platform/db"]


@pytest.mark.django_db(transaction=True)
def test_two_who_each_add_half_of_a_circle_do_not_both_succeed() -> None:
    a, b = check("a"), check("b")
    found = at_once(lambda: actions.set_needs(a, ["b"]), lambda: actions.set_needs(b, ["a"]))
    assert sum(isinstance(one, Refused) for one in found) == 1, found
    assert Check.needs.through.objects.count() == 1


def test_secrets_are_sealed_masked_and_kept_by_an_edit(me: Actor) -> None:
    row = check(http={"url": "http://127.0.0.1:1/", "username": "u", "password": "hunter2"})
    stored = str(Check.objects.get().config)
    assert "hunter2" not in stored
    assert SEALED_PREFIX in stored
    shown = actions.shown_spec(row)
    assert (shown["http"]["username"], shown["http"]["password"]) == ("u", MASK)
    kept = keep_masked(shown["http"], row.config, settings.SECRET_KEY)
    assert kept["password"] == "hunter2"
    assert not any("hunter2" in str(entry.facts) for entry in Entry.objects.all())


@pytest.mark.fault("S16")
@pytest.mark.parametrize(
    "http",
    [
        {"url": "http://a.test/?page=1", "secret_params": {"key": "geheim"}},
        {"url": "http://a.test/?key=geheim&page=1"},
    ],
)
def test_a_parameter_of_the_query_can_be_secret(http: dict[str, Any]) -> None:
    row = check(http=http)
    assert "geheim" not in f"{row.config}{row.target}"
    assert actions.shown_spec(row)["http"] == {"url": "http://a.test/?page=1", "secret_params": {"key": MASK}}


def test_a_secret_sealed_with_a_lost_key_can_be_entered_again(me: Actor) -> None:
    given = {"url": "http://127.0.0.1:1/", "username": "u", "password": "hunter2"}
    row = check(http=given)
    Check.objects.update(config={**row.config, "password": seal("x", "another key entirely")})
    row.refresh_from_db()
    actions.put_check(row.application, spec(http=given), me, after(1), existing=row)
    row.refresh_from_db()
    assert actions.spec_of(row) is not None


def test_plain_text_that_looks_sealed_stays_plain_text() -> None:
    row = check(labels={}, http={"url": "http://127.0.0.1:1/", "expect": {"body_contains": f"{SEALED_PREFIX}x"}})
    assert actions.spec_of(row).model_dump()["http"]["expect"]["body_contains"] == f"{SEALED_PREFIX}x"
    assert settings.SECRET_KEY not in str(row.config)


def test_a_removed_check_takes_what_hangs_on_it_and_leaves_its_facts(me: Actor) -> None:
    row, other = heartbeat(), check()
    Ping.objects.create(check_ref=row, at=NOON, kind="success")
    Result.objects.create(check_ref=row, at=NOON, health="up", duration_s=1)
    Hour.objects.create(check_ref=row, hour=NOON)
    actions.remove_check(row, me, after(1))
    assert (Ping.objects.count(), Result.objects.count(), Hour.objects.count()) == (0, 0, 0)
    assert list(Check.objects.all()) == [other]
    assert Entry.objects.get(kind="check.removed").subject_name == "shop/job"


def test_a_removed_application_takes_its_checks_one_by_one(me: Actor) -> None:
    rows = [check("a"), check("b"), check("c", of="other")]
    remove_application(rows[0].application, me, after(1))
    assert [str(row) for row in Check.objects.all()] == ["other/c"]
    assert kinds().count("check.removed") == 2
    removed = Entry.objects.filter(kind="check.removed").first()
    assert removed is not None
    assert (removed.actor, removed.actor_name) == (me.key, me.name)


def test_maintenance_is_announced_and_cancelled_once() -> None:
    window = Window("deploy", starts_at=NOON, ends_at=after(60))
    row = actions.announce(window, SUPPORT, NOON)
    actions.cancel(row, SUPPORT, after(1))
    actions.cancel(row, SUPPORT, after(2))
    assert kinds() == ["maintenance.announced", "maintenance.cancelled"]
    assert Maintenance.objects.get().cancelled_at == after(1)
    with pytest.raises(NotAllowed):
        actions.announce(window, VIEWER, NOON)
    with pytest.raises(Refused):
        actions.announce(replace(window, ends_at=NOON), SUPPORT, NOON)


def test_maintenance_of_a_file_is_edited_there(me: Actor) -> None:
    window = Window("nightly", cron="0 3 * * *", duration=timedelta(hours=1), zone="Europe/Berlin")
    row = actions.announce(window, me, NOON, by_file="shop.yaml")
    with pytest.raises(Managed):
        actions.announce(window, me, NOON, existing=row)
    with pytest.raises(Managed):
        actions.cancel(row, me, NOON)
