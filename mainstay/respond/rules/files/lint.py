"""Whether what a specification of rules says can be evaluated: PromQL, templates, names."""

from collections.abc import Iterator, Mapping

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.scrape.names import is_name
from mainstay.respond.rules.files.fields import bad_record
from mainstay.respond.rules.spec import RuleGroupSpec, RuleSpec
from mainstay.respond.rules.template import Template, TemplateProblem


def problems(spec: RuleGroupSpec) -> Iterator[tuple[str, str]]:
    """Yield the place (`rules.2.expr`) and what is wrong there, with how to mend it."""
    yield from _labels(spec.labels, "labels")
    for number, rule in enumerate(spec.rules):
        for place, detail in rule_problems(rule):
            yield f"rules.{number}.{place}", detail


def rule_problems(rule: RuleSpec) -> Iterator[tuple[str, str]]:
    """Yield the place within one rule, and what is wrong there."""
    try:
        kind = parse(rule.expr).kind
    except QueryError as error:
        yield "expr", str(error)
    else:
        if kind in {Kind.MATRIX, Kind.STRING}:
            yield "expr", "gives a range or a text; a rule needs an instant vector or a number, such as rate(…[5m]) > 1"
    if rule.record is not None and (wrong := bad_record(rule.record)):
        yield "record", wrong
    yield from _labels(rule.labels, "labels")
    for name in rule.annotations:
        if not is_name(name):
            yield "annotations", f"{name!r} is no name of an annotation: write a text that is not empty"
    if rule.alert is not None:
        for place, texts in (("labels", rule.labels), ("annotations", rule.annotations)):
            for name, text in texts.items():
                try:
                    Template.compile(text)
                except TemplateProblem as problem:
                    yield f"{place}.{name}", f"its template cannot be read: {problem}"


def _labels(labels: Mapping[str, str], place: str) -> Iterator[tuple[str, str]]:
    for name in labels:
        if not is_name(name) or name == "__name__":
            yield place, f"{name!r} is no name of a label: write a text that is not empty, and not __name__"
