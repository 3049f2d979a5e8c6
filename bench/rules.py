"""A thousand alerting rules over the targets of `bench.exporter`, as a Prometheus rule file.

Three kinds, as real rule sets have them: (a) 500 small ones of one target each, (b) 400 that aggregate or take
quantiles per job, (c) 100 over all series. Those of (b) and (c) share sub-expressions and differ in their thresholds;
`distinct` leaves one rule of each expression.
"""

from collections.abc import Iterator
from typing import Any

JOBS, PER_JOB, HANDLERS = 10, 10, 20
REQUESTS, BUCKETS = "http_requests_total", "http_request_duration_seconds_bucket"
NARROWED = ("", ',method="GET"', ',method="POST"')
Rule = tuple[str, str, str]  # expression, comparison, threshold


def small(instances: list[str]) -> Iterator[Rule]:
    """Yield the error ratio of five handlers of each target."""
    for number, instance in enumerate(instances):
        for step in range(5):
            only = f'instance="{instance}",handler="/api/v1/h{(number + 4 * step) % HANDLERS:02d}"'
            failed = f'sum(rate({REQUESTS}{{{only},code=~"5.."}}[5m]))'
            yield f"{failed} / sum(rate({REQUESTS}{{{only}}}[5m]))", ">", "0.05"


def per_job() -> Iterator[Rule]:
    """Yield request rates and latencies by handler, of each job."""
    for job in range(JOBS):
        base = f'job="svc{job}"'
        for narrowed in (*NARROWED, ',code!="404"'):
            for threshold in (150, 200, 300, 500, 1000):
                yield f"sum by (handler) (rate({REQUESTS}{{{base}{narrowed}}}[5m]))", ">", str(threshold)
        for narrowed in (*NARROWED, ',handler=~"/api/v1/h0.*"'):
            for quantile in ("0.5", "0.9", "0.95", "0.99", "0.999"):
                rate = f"sum by (le, handler) (rate({BUCKETS}{{{base}{narrowed}}}[5m]))"
                yield f"histogram_quantile({quantile}, {rate})", ">", "9"


def over_all() -> Iterator[Rule]:
    """Yield rules over every series there is."""
    for number in range(40):
        yield f"sum by (job) (rate({REQUESTS}[5m]))", ">", str(5000 + 100 * number)
    for number in range(20):
        yield f"topk({5 + number}, rate({REQUESTS}[5m]))", ">", str(50 + number)
    for number in range(20):
        yield f"histogram_quantile(0.{80 + number}, sum by (le) (rate({BUCKETS}[5m])))", ">", "9"
    for number in range(10):
        yield f'absent(up{{job="svc{number}"}})', "", ""
    for number in range(5):
        yield 'count({job=~"svc.+"})', ">", str(200_000 + number)
    for number in range(5):
        yield "count by (job) (up == 0)", ">", str(1 + number)


def document(instances: list[str], every: str, *, distinct: bool = False) -> dict[str, Any]:
    """Return the rule file."""
    groups = []
    for kind, rules in (("a", small(instances)), ("b", per_job()), ("c", over_all())):
        listed = list(rules)
        if distinct:
            listed = list({rule[0]: rule for rule in listed}.values())
        for part in range(5):  # groups of one file are evaluated side by side
            shown = [_rule(f"{kind}_{part}_{number}", *rule) for number, rule in enumerate(listed[part::5])]
            groups.append({"name": f"{kind}{part}", "interval": every, "rules": shown})
    return {"groups": groups}


def _rule(name: str, expression: str, comparison: str, threshold: str) -> dict[str, Any]:
    return {
        "alert": f"Bench_{name}",
        "expr": f"{expression} {comparison} {threshold}".strip(),
        "for": "5m",
        "labels": {"severity": "minor"},
        "annotations": {"summary": "value {{ $value }}"},
    }
