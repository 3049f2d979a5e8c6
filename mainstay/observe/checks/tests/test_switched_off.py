"""Checks of a kind that this installation does not allow: refused wherever they are written, and never down."""

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as django_settings

from mainstay.config.apply import apply_text, plan_text
from mainstay.desk.tests.browser import page, signed_in
from mainstay.foundation import environment as env
from mainstay.foundation.accounts.actor import Actor
from mainstay.observe.checks.actions import put_check
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.runtime.shards import SHARDS
from mainstay.observe.checks.runtime.watching import Watching
from mainstay.observe.checks.spec import CheckSpec
from mainstay.observe.checks.tests.parts import NOON, application

pytestmark = [pytest.mark.django_db, pytest.mark.fault("C15")]
SAYS = "programs are not run here: to allow it, set MAINSTAY_COMMANDS=on for Mainstay"
DISK: dict[str, Any] = {"name": "disk", "command": {"command": ["df", "/"]}}
FILE = "applications: [{name: shop, checks: [{name: disk, command: {command: [df, /]}}]}]"


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Switch them on or off for the test."""
    before = django_settings.ENVIRONMENT

    def switch(*, on: bool) -> None:
        monkeypatch.setattr(django_settings, "ENVIRONMENT", replace(before, commands_allowed=on))

    return switch


def test_the_form_refuses_it() -> None:
    application()
    answer = signed_in().post(
        "/checks/new/", {"kind": "command", "kind_shown": "command", "application": "shop", "name": "disk",
        "severity": "major", "kind.command": "[df, /]"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "MAINSTAY_COMMANDS=on" in answer.content.decode()
    assert not Check.objects.exists()


@pytest.mark.parametrize("address", ["/api/v1/checks", "/api/v1/checks/try"])
def test_the_api_refuses_it(address: str) -> None:
    application()
    body = DISK if address.endswith("try") else {"application": "shop", **DISK}
    answer = signed_in().post(address, body, "application/json")
    assert answer.status_code == 422, (answer.status_code, answer.content)
    assert "MAINSTAY_COMMANDS=on" in answer.content.decode()


def test_a_file_is_told_before_anything_is_changed(me: Actor) -> None:
    for outcome in (plan_text(FILE, "shop.yaml", me, NOON), apply_text(FILE, "shop.yaml", me, NOON)):
        assert [problem.path for problem in outcome.problems] == ["applications[shop].checks[disk].command"]
        assert SAYS in outcome.problems[0].detail
    assert not Check.objects.exists()


def test_one_that_was_allowed_is_not_probed_any_more_and_is_not_down(me: Actor, allow: Any) -> None:
    allow(on=True)
    row = put_check(application(), CheckSpec.model_validate(DISK), me, NOON)
    allow(on=False)
    watching = Watching(env.read({"MAINSTAY_HOME": "unused"}))
    watching.start([])
    watching.holding.round(frozenset(range(SHARDS)), NOON)
    state = CheckState.objects.get(pk=row.pk)
    assert SAYS in state.unusable
    assert state.health == "unknown"
    assert row.pk not in watching.prober.held()
    assert "MAINSTAY_COMMANDS=on" in page(signed_in(), f"/checks/{row.pk}/")
    allow(on=True)
    watching.holding.wanted = None
    watching.holding.round(frozenset(range(SHARDS)), NOON)
    assert CheckState.objects.get(pk=row.pk).unusable == ""
    watching.stop()


def test_one_that_was_allowed_can_be_edited_and_removed(me: Actor, allow: Any) -> None:
    allow(on=True)
    row = put_check(application(), CheckSpec.model_validate(DISK), me, NOON)
    allow(on=False)
    put_check(application(), CheckSpec.model_validate({**DISK, "paused": True}), me, NOON, existing=row)
    assert Check.objects.get().paused
