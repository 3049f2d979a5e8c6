"""The starter pack: promtool accepts it, every alert is proven to fire and not to fire, and tells what to do."""

import re
from pathlib import Path

import pytest
import yaml

from mainstay.foundation.words.names import SEVERITIES
from mainstay.respond.rules.files.read import read_rules
from mainstay.respond.rules.files.starter_pack import Pack, packs
from mainstay.respond.rules.files.unit_tests import run_file
from mainstay.respond.rules.tests.promtool import needs_promtool, promtool

STARTER = Path(__file__).parent.parent / "starter"
DOCUMENT = Path(__file__).parents[4] / "docs" / "rules.md"
ALERTS = [(pack.name, rule) for pack in packs() for group in pack.groups for rule in group.rules if rule.is_alert]


def proofs_of(pack: Pack) -> Path:
    return STARTER / "tests" / f"{pack.name}_test.yml"


@pytest.mark.long
@pytest.mark.parametrize("pack", packs(), ids=lambda pack: pack.name)
def test_every_alert_fires_on_what_it_is_for_and_not_otherwise(pack: Pack) -> None:
    report = run_file(proofs_of(pack))
    assert report.passed, report.failures
    cases = [
        case
        for test in yaml.safe_load(proofs_of(pack).read_text(encoding="utf-8"))["tests"]
        for case in test["alert_rule_test"]
    ]
    fires = {case["alertname"] for case in cases if case.get("exp_alerts")}
    is_quiet = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    names = {rule.alert for name, rule in ALERTS if name == pack.name}
    assert fires == is_quiet == names


@needs_promtool
@pytest.mark.parametrize("pack", packs(), ids=lambda pack: pack.name)
def test_promtool_agrees(pack: Pack) -> None:
    checked = promtool("check", "rules", f"{pack.name}.yml", where=STARTER)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", str(proofs_of(pack)), where=STARTER)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(("pack", "rule"), ALERTS, ids=lambda each: getattr(each, "alert", each))
def test_every_alert_tells_what_why_and_what_first(pack: str, rule: object) -> None:
    alert = next(each for name, each in ALERTS if each is rule and name == pack)
    assert tuple(alert.annotations) == ("summary", "description", "cause", "first_step")
    assert all(text.strip() for text in alert.annotations.values())
    assert alert.labels["severity"] in SEVERITIES


def test_no_name_is_given_twice_and_no_file_is_forgotten() -> None:
    names = [rule.alert for _, rule in ALERTS]
    assert len(names) == len(set(names))
    assert {pack.name for pack in packs()} == {path.stem for path in STARTER.glob("*.yml")}
    groups = [group.name for pack in packs() for group in pack.groups]
    assert len(groups) == len(set(groups))
    assert all(not read_rules(pack.text).warnings for pack in packs())


def test_the_document_lists_every_alert() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert {rule.alert for _, rule in ALERTS} <= listed
