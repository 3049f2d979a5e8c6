"""`mainstay rules starter`: the starter rules as a file to apply."""

import json
from datetime import UTC, datetime

import pytest
from django.test import Client

from mainstay.cli import main
from mainstay.config.apply import apply_text
from mainstay.foundation.accounts.actions import create_user
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.respond.rules.files.starter_pack import packs
from mainstay.respond.rules.models import Rule

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def test_packs_are_listed_with_what_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "starter"]) == 0
    assert "needs postgres_exporter" in capsys.readouterr().out
    assert main(["rules", "starter", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == [pack.name for pack in packs()]


@pytest.mark.django_db
def test_all_packs_together_are_a_file_that_can_be_applied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "starter", *(pack.name for pack in packs())]) == 0
    text = capsys.readouterr().out
    outcome = apply_text(text, "starter.yml", COMMAND_LINE, NOON)
    assert outcome.applied, outcome.problems
    assert Rule.objects.count() == sum(len(group.rules) for pack in packs() for group in pack.groups)
    assert apply_text(text, "starter.yml", COMMAND_LINE, NOON).changes_nothing


def test_a_pack_that_does_not_exist_is_refused_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "starter", "hosts", "mainframes"]) == 1
    told = capsys.readouterr().err
    assert "no pack mainframes" in told
    assert "postgresql" in told


@pytest.mark.django_db
def test_a_pack_is_added_at_a_press_and_once() -> None:
    browser = Client()
    browser.force_login(create_user("kim@example.com", Role.DEVOPS, "Kim", COMMAND_LINE, NOON))
    page = browser.get("/rules/starter").content.decode()
    assert all(pack.title in page for pack in packs())
    assert "HostDown" in page
    answer = browser.post("/rules/starter/hosts/add", follow=True)
    assert "rules for Hosts are evaluated from now on" in answer.content.decode()
    number = Rule.objects.count()
    assert number > 5
    browser.post("/rules/starter/hosts/add")
    assert Rule.objects.count() == number
    assert browser.post("/rules/starter/mainframes/add").status_code == 404
