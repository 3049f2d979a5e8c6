"""Random rules on random targets, the same by Prometheus' own hand: `promtool check service-discovery` tells."""

import json
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mainstay.observe.metrics.scrape import relabel
from mainstay.observe.metrics.scrape.discovery import sources_of
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.scrape.targets import INSTANCE, Frame, with_defaults

PROMTOOL = shutil.which("promtool")
RULE_SETS, TARGETS, AT_ONCE = 48, 10, 6  # 960 rule sets were compared once
NAMES = ["a", "b", "c", "d", "A", "__tmp", "__meta_x", "__param_q", "job", "instance", "zone", "zone_id"]
VALUES = ["", "a", "ab", "abc", "A-b", "x;y", "ÄÖß", "10.0.0.5:9100", "$1", "a b", "zone", "ʼn", "ſ", "İ"]
REGEXES = [
    "(.*)", "a(.*)", "(a)(b)?(c)?", "[a-z]+", "(?P<first>.)(?P<rest>.*)", ".*;.*", "", "zone(_id)?", "__meta_(.+)",
    "a|ab|abc", "(?i)a.*", r"(\d+)\..*", "ab", "(x)*;?(y)*", r"\p{Lu}+.*",
]  # fmt: skip
REPLACEMENTS = [
    "$1", "${1}", "x", "", "$1$2", "${2}-${1}", "$$1", "$", "${1", "${first}/$rest", "$1x", "${10}", "$01", "lab_$1",
    "a${1}", "$ 1", "${}", "$9", "ü$1",
]  # fmt: skip
LABEL_TEMPLATES = ["a", "b", "d", "new", "__tmp", "lab_${1}", "${1}", "$1", "t$2"]
ACTIONS = ["replace"] * 5 + [
    "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase",
]  # fmt: skip


def rule(dice: random.Random) -> dict[str, Any]:
    action = dice.choice(ACTIONS)
    made: dict[str, Any] = {"action": action}
    sources = [dice.choice(NAMES) for _ in range(dice.randrange(4))]
    if action in ("labeldrop", "labelkeep"):
        # What a target cannot be without stays.
        made["regex"] = dice.choice(["b|c", "A", "zone.*", "a"]) if action == "labeldrop" else "__.*|job|a|b|zone"
        return made
    if action == "labelmap":
        return made | {"regex": dice.choice(REGEXES), "replacement": dice.choice(["$1", "lab_${1}", "${1}_x", "fixed"])}
    made["source_labels"] = sources
    if dice.random() < 0.3:
        made["separator"] = dice.choice(["", "-", "||", ";;"]) if action not in ("keepequal", "dropequal") else ";"
    if action in ("replace", "keep", "drop") and dice.random() < 0.8:
        made["regex"] = dice.choice(REGEXES)
    if action == "replace":
        made["target_label"] = dice.choice(LABEL_TEMPLATES)
        if "$" in made["target_label"]:
            # When the replacement is empty, 2.42 deletes a label named like the template; ours, as later ones, the
            # label that the template names.
            made["replacement"] = dice.choice(["x", "$1-x", "$$"])
        elif dice.random() < 0.8:
            made["replacement"] = dice.choice(REPLACEMENTS)
    elif action not in ("keep", "drop"):
        made["target_label"] = dice.choice(["a", "b", "new"])
    if action == "hashmod":
        made["modulus"] = dice.choice([1, 2, 7, 1000, 2**40])
    return made


def targets(dice: random.Random) -> list[dict[str, Any]]:
    found = []
    for number in range(TARGETS):
        labels = {name: dice.choice(VALUES) for name in dice.sample(NAMES, dice.randrange(len(NAMES)))}
        found.append({"targets": [f"host{number}:{9000 + number}"], "labels": labels})
    return found


def theirs(folder: Path, number: int, config: dict[str, Any]) -> list[dict[str, Any]] | str:
    path = folder / f"{number}.yml"
    path.write_text(json.dumps({"scrape_configs": [config]}, ensure_ascii=False))
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "service-discovery", "--timeout=400ms", str(path), "j"], capture_output=True, text=True
    )
    if done.returncode:
        return done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def ours(config: dict[str, Any]) -> list[dict[str, Any]] | str:
    try:
        settings = ScrapeSettings.model_validate({k: v for k, v in config.items() if k != "job_name"})
    except ValidationError as error:
        return str(error)
    frame = Frame.of("j", settings, 60.0, 10.0, {})
    rows = []
    for discovered in sources_of(settings)[0].found():
        before = with_defaults(frame, discovered)
        after = frame.relabel.apply(before)
        if after is None or not after.get("__address__"):
            after = {}
        else:
            after = {name: value for name, value in after.items() if not name.startswith("__meta_")}
            after.setdefault(INSTANCE, after["__address__"])
        rows.append({"discoveredLabels": {n: v for n, v in before.items() if v}, "labels": after})
    return rows


def by_address(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a target that is dropped promtool 2.42 shows labels that rules have changed already; its address holds.

    A label with an empty name, which `labelmap` can make there, is no label.
    """
    return {
        row["discoveredLabels"]["__address__"]: {n: v for n, v in (row.get("labels") or {}).items() if n}
        for row in rows
    }


@pytest.mark.skipif(PROMTOOL is None, reason="apt-get install prometheus")
@pytest.mark.parametrize("seed", range(1))
def test_random_rules_make_of_targets_what_prometheus_makes_of_them(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 2.42 knows only the classic names.
    monkeypatch.setattr(relabel, "is_name", lambda name: name.isascii() and name.isidentifier())
    dice = random.Random(seed)
    configs = [
        {
            "job_name": "j",
            "static_configs": targets(dice),
            "relabel_configs": [rule(dice) for _ in range(dice.randrange(1, 5))],
        }
        for _ in range(RULE_SETS)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda each: theirs(tmp_path, *each), enumerate(configs)))
    compared = 0
    for config, answer in zip(configs, answers, strict=True):
        mine = ours(config)
        rules = json.dumps(config["relabel_configs"], ensure_ascii=False)
        if isinstance(answer, str) or isinstance(mine, str):
            assert isinstance(answer, str), f"only we refuse {rules}: {mine}"
            assert isinstance(mine, str), f"only Prometheus refuses {rules}: {answer}"
            continue
        compared += 1
        assert by_address(mine) == by_address(answer), rules
    assert compared > RULE_SETS / 2, "most rule sets must be ones that both take"
