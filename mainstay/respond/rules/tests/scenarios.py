"""Random lives of alerts: rules and series made from a seed, with what our engine makes of them at every step.

promtool 2.42 takes the sample at the very beginning of a range (and of the lookback of 5 minutes) in, Prometheus 3 and
we do not. So no sample may lie there: neither 5 minutes nor a range that is used is a multiple of the greatest common
divisor of the two intervals. Nor is there a `topk`: which of two equals it takes differs from run to run of promtool.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd
from random import Random
from typing import Any

from mainstay.foundation.yaml.write import dump
from mainstay.observe.metrics.durations import written
from mainstay.respond.rules.engine.state import Instance
from mainstay.respond.rules.files.read import RuleGroup, read_rules
from mainstay.respond.rules.files.series_notation import InputSeries, labels_of, values_of
from mainstay.respond.rules.files.unit_files import Test, TestFile
from mainstay.respond.rules.files.unit_tests import Alerts, Run
from mainstay.respond.rules.files.write import write_rules

EVERY_S = (35, 40, 45, 70, 80, 90)
LOOKBACK_S = 300
EXTERNAL = {"region": "eu"}
URL = "https://mainstay.example.org"

# Without `owner` and `note`: where their template renders empty, Prometheus writes the template's text into ALERTS.
QUERIES = (
    "count by (alertname, alertstate, instance, job, severity) (ALERTS)",
    "max by (alertname, instance, job, severity) (ALERTS_FOR_STATE)",
    "job:load:sum == job:load:sum",
)

Restart = Callable[[int], bool]


@dataclass(frozen=True)
class Scenario:
    """Rules, series, and how long to look."""

    rules: str
    groups: tuple[RuleGroup, ...]
    series: tuple[tuple[str, str], ...]
    every_s: int
    interval_s: int
    steps: int

    @property
    def alerts(self) -> list[str]:
        """The names of the alerts."""
        return sorted({rule.alert for group in self.groups for rule in group.rules if rule.alert})

    def run(self) -> Run:
        """Return it, ready to be run step by step."""
        series = tuple(InputSeries(labels_of(name), values_of(values)) for name, values in self.series)
        test = Test("", self.interval_s * 1000, series, (), (), EXTERNAL, URL, 0, 1)
        return Run(test, TestFile((), self.every_s * 1000, (), (test,), False), self.groups)


def scenario(seed: int) -> Scenario:
    """Make a scenario of a seed."""
    random = Random(seed)
    every = random.choice(EVERY_S)
    interval = random.choice([each for each in EVERY_S if LOOKBACK_S % gcd(each, every)])
    steps = random.randint(25, 45)
    count = steps * every // interval + 2
    series = [
        (f'load{{instance="{name}", job="{job}"}}', _values(random, count))
        for name, job in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"))[: random.randint(1, 4)]
    ]
    series.append(('drain{instance="a"}', _values(random, count)))
    spans = [each for each in (70, 100, 130, 190, 250, 310) if each % gcd(every, interval)]
    alerts = [_alert(random, number, every, spans) for number in range(random.randint(2, 5))]
    records = [
        {"record": "job:load:sum", "expr": "sum by (job) (load)", "labels": {"kind": "sum"}},
        {"record": "load:peak", "expr": f"max_over_time(load[{random.choice(spans)}s])"},
    ]
    derived = [
        {"alert": "Sum", "expr": f"job:load:sum > {random.randint(5, 150)}", **_times(random, every)},
        {"alert": "Peak", "expr": f"load:peak > {random.randint(20, 90)}", **_times(random, every)},
        {"alert": "Many", "expr": 'count(ALERTS{alertstate="firing"}) >= 2', **_times(random, every)},
        {"alert": "Waiting", "expr": 'count by (job) (ALERTS{alertstate="pending"})', "labels": {"alertstate": "seen"}},
        {"alert": "Since", "expr": f"max by (instance) (time() - ALERTS_FOR_STATE) > {random.randint(60, 600)}"},
    ]
    random.shuffle(derived)
    groups = [{"name": "one", "rules": [*records, *alerts]}, {"name": "two", "rules": derived[: random.randint(1, 5)]}]
    text = dump({"groups": groups})
    return Scenario(text, read_rules(text).groups, tuple(series), every, interval, steps)


def _values(random: Random, count: int) -> str:
    """Return runs of high and low values, gaps and ends."""
    words: list[str] = []
    left = count
    while left > 0:
        size = min(left, random.randint(1, 9))
        left -= size
        match random.randint(0, 9):
            case 0 | 1:
                words.append(f"_x{size}")
            case 2:
                words += ["stale", *(["_"] * (size - 1))]
            case 3:
                words.append(f"{random.randint(0, 100)}{random.choice('+-')}{random.randint(1, 20)}x{size - 1}")
            case 4:
                words.append("NaN" if random.random() < 0.5 else f"{random.uniform(0, 100):.3f}")
                left += size - 1
            case _:
                words.append(f"{random.choice((0, 3, 10, 42, 60, 95, 1234567))}x{size - 1}")
    return " ".join(words)


def _times(random: Random, every: int) -> dict[str, str]:
    found = {}
    if random.random() < 0.7:
        found["for"] = written(random.choice((every, 2 * every, 3 * every + 5, 60, 120, 5)))
    if random.random() < 0.5:
        found["keep_firing_for"] = written(random.choice((every, 2 * every, 4 * every, 100, 5)))
    return found


def _alert(random: Random, number: int, every: int, spans: list[int]) -> dict[str, Any]:
    limit = random.choice((2, 9, 41, 50, 90))
    expr = random.choice(
        (
            f"load > {limit}",
            f"load > {limit}",
            f"load < {limit}",
            f"sum by (job) (load) > {limit}",
            f"load > {limit} unless on (instance) drain > 10",
            f"load > {limit} and on (instance) drain < 50",
            "absent(load)",
            'absent(load{instance="a"})',
            f"avg_over_time(load[{random.choice(spans)}s]) > {limit}",
            f"changes(load[{random.choice(spans)}s]) >= 1",
            f"max(load) > {limit}",
            f"load offset {every}s > {limit}",
            f"vector({limit}) > 10",
            f"quantile by (job) (0.5, load) > {limit}",
            "load != load",
            "time() % 300 > 150",
            str(limit),
        )
    )
    if expr.startswith("time()"):
        expr = f"vector({expr.partition(' > ')[0]}) > 150"
    labels = {
        "severity": random.choice(("critical", "{{ if gt $value 50.0 }}critical{{ else }}minor{{ end }}")),
        "owner": random.choice(("ops", "{{ $labels.job }}", "{{ $externalLabels.region }}-{{ .Labels.instance }}")),
        "note": random.choice(("", "{{ $labels.nothing }}", 'x{{ printf "%.0f" $value }}', "fixed")),
    }
    chosen = {name: labels[name] for name in labels if random.random() < 0.6}
    annotations = {
        "summary": "{{ $labels.instance }} of {{ $labels.job }} is at {{ $value | humanize }}",
        "others": "{{ range query `sum by (job) (load)` | sortByLabel `job` }}{{ .Labels.job }}={{ .Value }} {{ end }}",
    }
    return {
        "alert": f"A{number}",
        "expr": expr,
        **_times(random, every),
        "labels": chosen,
        "annotations": {name: annotations[name] for name in annotations if random.random() < 0.6},
    }


def lived(found: Scenario, restart: Restart = lambda step: False) -> list[dict[str, Alerts]]:
    """Return, step by step, the alerts that fire by name. Where `restart` says so, instances go through JSON."""
    run = found.run()
    steps = []
    for number in range(found.steps):
        errors = run.step(number * found.every_s * 1000)
        assert not errors, errors
        if restart(number):
            run.replace_instances(_restarted)
        steps.append({name: run.firing(name) for name in found.alerts})
    return steps


def _restarted(instances: Mapping[str, Instance]) -> dict[str, Instance]:
    kept = json.dumps({key: instance.document() for key, instance in instances.items()}, allow_nan=False)
    return {key: Instance.restored(document) for key, document in json.loads(kept).items()}


def promtool_file(found: Scenario, rules: str) -> dict[str, Any]:
    """Return the scenario as promtool's unit-test file, with what our engine gives as what is expected."""
    run = found.run()
    cases = []
    for number in range(found.steps):
        errors = run.step(number * found.every_s * 1000)
        assert not errors, errors
        cases += [
            {
                "eval_time": written(number * found.every_s),
                "alertname": name,
                "exp_alerts": [
                    {
                        "exp_labels": {key: text for key, text in labels.items() if key != "alertname"},
                        "exp_annotations": dict(annotations),
                    }
                    for labels, annotations in run.firing(name)
                ],
            }
            for name in found.alerts
        ]
    queries = [
        {
            "expr": expr,
            "eval_time": written(number * found.every_s),
            "exp_samples": [
                {"labels": _metric(labels), "value": value}
                for labels, value in run.ask(expr, number * found.every_s * 1000)
            ],
        }
        for number in range(0, found.steps, 3)
        for expr in QUERIES
    ]
    return {
        "rule_files": [rules],
        "evaluation_interval": written(found.every_s),
        "group_eval_order": ["one", "two"],
        "tests": [
            {
                "interval": written(found.interval_s),
                "external_labels": EXTERNAL,
                "external_url": URL,
                "input_series": [{"series": name, "values": values} for name, values in found.series],
                "alert_rule_test": cases,
                "promql_expr_test": queries,
            }
        ],
    }


def _metric(labels: Mapping[str, str]) -> str:
    inside = ",".join(f"{name}={json.dumps(text)}" for name, text in labels.items() if name != "__name__")
    return f"{labels.get('__name__', '')}{{{inside}}}"


__all__ = ["Scenario", "lived", "promtool_file", "scenario", "write_rules"]
