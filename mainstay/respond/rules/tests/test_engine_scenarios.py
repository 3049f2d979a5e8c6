"""Alerts live as they do in Prometheus: `promtool test rules` agrees with our engine at every step of random scenarios.

`RULE_SCENARIOS` sets how many scenarios are tried (default 50).
"""

import os
from pathlib import Path
from random import Random

import pytest

from mainstay.respond.rules.files.unit_tests import run_file
from mainstay.respond.rules.tests.promtool import needs_promtool, promtool, write
from mainstay.respond.rules.tests.scenarios import lived, promtool_file, scenario

SCENARIOS = int(os.environ.get("RULE_SCENARIOS", "50"))


@needs_promtool
@pytest.mark.timeout(1800)
def test_promtool_finds_the_same_alerts_at_every_step(tmp_path: Path) -> None:
    names = []
    fired = 0
    for seed in range(SCENARIOS):
        found = scenario(seed)
        (tmp_path / f"rules{seed}.yml").write_text(found.rules, encoding="utf-8")
        document = promtool_file(found, f"rules{seed}.yml")
        names.append(write(tmp_path / f"test{seed}.yml", document).name)
        fired += sum(len(case["exp_alerts"]) for case in document["tests"][0]["alert_rule_test"])
    done = promtool("test", "rules", *names, where=tmp_path, timeout=1500)
    assert done.returncode == 0, (done.stdout + done.stderr)[:20_000]
    assert fired > 20 * SCENARIOS  # else nothing was compared


def test_our_runner_reads_them_as_it_made_them(tmp_path: Path) -> None:
    found = scenario(7)
    (tmp_path / "rules.yml").write_text(found.rules, encoding="utf-8")
    report = run_file(write(tmp_path / "test.yml", promtool_file(found, "rules.yml")))
    assert report.passed, report.failures
    assert report.cases > found.steps


@pytest.mark.long
@pytest.mark.parametrize("seed", range(min(SCENARIOS, 25)))
def test_a_restart_changes_nothing(seed: int) -> None:
    found = scenario(seed)
    whole = lived(found)
    random = Random(seed)
    at = random.randrange(found.steps)
    assert lived(found, lambda step: step == at) == whole
    assert lived(found, lambda step: random.random() < 0.3) == whole
