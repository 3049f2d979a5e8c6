"""Rule files as Prometheus has them: read into plain values. `writing` writes them back in one canonical form.

What Prometheus refuses (`promtool check rules`) is refused, what it accepts is accepted; what it accepts and is very
likely a mistake is told as a warning. All mistakes of a file are told at once, each with its line, its field and how to
mend it. Any text may name a metric or a label, as in Prometheus 3.

    found = read_rules(text, "rules/hosts.yml")     # raises BadRules
    found.groups[0].rules[0].expr
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from mainstay.foundation.yaml.nodes import Mapping as MappingNode
from mainstay.foundation.yaml.nodes import Node, Scalar
from mainstay.foundation.yaml.problems import Problem
from mainstay.foundation.yaml.read import Document
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.parse import Expression, parse
from mainstay.observe.metrics.promql.plan import Kind
from mainstay.respond.rules.files.fields import (
    BadRules,
    FieldReader,
    Fields,
    bad_record,
    read_file,
    under,
    written,
)
from mainstay.respond.rules.template import Template, TemplateProblem

__all__ = ["BadRules", "Rule", "RuleFile", "RuleGroup", "read_rules"]

MOST_RULES = 20_000
GROUP_KEYS = ("name", "interval", "query_offset", "limit", "labels", "rules")
RULE_KEYS = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")


@dataclass(frozen=True)
class Rule:
    """One rule. Exactly one of `alert` and `record` is set. Durations are in seconds.

    Templates and the expression are compiled on first use and kept; a rule from `read_rules` compiles.
    """

    expr: str
    alert: str = ""
    record: str = ""
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    line: int = field(default=0, compare=False)  # in its file, counted from 1; 0 where there is none

    @property
    def name(self) -> str:
        """The name of the alert or of the recorded metric."""
        return self.alert or self.record

    @property
    def is_alert(self) -> bool:
        """Whether it raises alerts, and does not record."""
        return bool(self.alert)

    @property
    def for_ms(self) -> int:
        """`for` in milliseconds."""
        return round(self.for_s * 1000)

    @property
    def keep_firing_for_ms(self) -> int:
        """`keep_firing_for` in milliseconds."""
        return round(self.keep_firing_for_s * 1000)

    @cached_property
    def expression(self) -> Expression:
        """The parsed expression; QueryError if it is none."""
        return parse(self.expr)

    @cached_property
    def label_templates(self) -> Mapping[str, Template]:
        """The templates of the labels; TemplateProblem if one cannot be read."""
        return {name: Template.compile(text) for name, text in sorted(self.labels.items())}

    @cached_property
    def annotation_templates(self) -> Mapping[str, Template]:
        """The templates of the annotations; TemplateProblem if one cannot be read."""
        return {name: Template.compile(text) for name, text in sorted(self.annotations.items())}


@dataclass(frozen=True)
class RuleGroup:
    """Rules that are evaluated one after another at the same times. 0 seconds, or None: the default of whoever runs it.

    `limit` is the most alerts or series a rule may give; 0 is none.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    interval_s: float = 0.0
    query_offset_s: float | None = None
    limit: int = 0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    line: int = field(default=0, compare=False)

    @cached_property
    def evaluated(self) -> tuple[Rule, ...]:
        """The rules as they are evaluated: with the labels of the group, which the rule's own override."""
        if not self.labels:
            return self.rules
        return tuple(replace(rule, labels={**self.labels, **rule.labels}) for rule in self.rules)

    @property
    def query_offset_ms(self) -> int:
        """How far back the expressions are evaluated."""
        return round((self.query_offset_s or 0.0) * 1000)


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a file says, and what in it is very likely not meant."""

    groups: tuple[RuleGroup, ...]
    warnings: tuple[Problem, ...] = ()
    file: str = ""


def read_rules(text: str | bytes, file: str = "rules") -> RuleFile:
    """Read a rule file.

    Raises:
        BadRules: with all its mistakes.
    """
    document = read_file(text, file)
    reader = _Reader(document.lines)
    groups = reader.file(document)
    if reader.problems:
        ordered = sorted(dict.fromkeys(reader.problems), key=lambda problem: (problem.line, problem.column))
        raise BadRules(file, ordered)
    return RuleFile(groups, tuple(sorted(reader.warnings, key=lambda problem: problem.line)), file)


class _Reader(FieldReader):
    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.warnings: list[Problem] = []
        self._lines = lines
        self._rules = 0

    def _doubtful(self, node: Node, path: str, detail: str) -> None:
        self.warnings.append(Problem(node.line, node.column, path, detail))

    def file(self, document: Document) -> tuple[RuleGroup, ...]:
        if document.second:
            message = "only the first document of the file counts, as in Prometheus; move the rest into the first"
            self.warnings.append(Problem(document.second, 1, "", message))
        if document.root is None or document.root.is_null:
            return ()
        fields = self.fields(document.root, "", ("groups",), "a rule file begins with groups:")
        if fields is None:
            return ()
        groups: list[RuleGroup] = []
        seen: dict[str, int] = {}
        for number, node in enumerate(self.items(fields.get("groups"), "groups")):
            group = self._group(node, number)
            if group is None:
                continue
            if group.name and group.name in seen:
                where = f"groups[{group.name}]"
                self.wrong(node, where, f"a group of this name begins on line {seen[group.name]}; names are unique")
            seen.setdefault(group.name, node.line)
            groups.append(group)
        self._tell_repeated(groups)
        return tuple(groups)

    def _group(self, node: Node, number: int) -> RuleGroup | None:
        path = f"groups[{number}]"
        fields = self.fields(node, path, GROUP_KEYS, "a group has name and rules")
        if fields is None:
            return None
        name = self.text(fields.get("name"), f"{path}.name")
        if not name:
            self.wrong(fields.get("name") or node, path, "the group has no name; give it one: name: hosts")
        path = f"groups[{name or number}]"
        rules: list[Rule] = []
        for place, item in enumerate(self.items(fields.get("rules"), f"{path}.rules")):
            rule = self._rule(item, path, place)
            if rule is not None:
                rules.append(rule)
        return RuleGroup(
            name=name,
            rules=tuple(rules),
            interval_s=self.duration(fields.get("interval"), f"{path}.interval") or 0.0,
            query_offset_s=self.duration(fields.get("query_offset"), f"{path}.query_offset"),
            limit=self.whole(fields.get("limit"), f"{path}.limit"),
            labels=self.labels(fields.get("labels"), f"{path}.labels"),
            line=node.line,
        )

    def _rule(self, node: Node, group: str, place: int) -> Rule | None:
        self._rules += 1
        if self._rules > MOST_RULES:
            if self._rules == MOST_RULES + 1:  # aliases can make many of few
                self.wrong(node, group, f"the file has more than {MOST_RULES} rules; split it")
            return None
        given = node.entries if isinstance(node, MappingNode) else {}
        names = (written(given[key].node) for key in ("alert", "record") if key in given)
        path = f"{group}.rules[{next(filter(None, names), place)}]"
        fields = self.fields(node, path, RULE_KEYS, "a rule has alert or record, and expr")
        if fields is None:
            return None
        record, alert = self.text(fields.get("record"), path), self.text(fields.get("alert"), path)
        if record and alert:
            self.wrong(fields["record"], path, "has both record and alert; a rule is one of them")
        elif not record and not alert:
            self.wrong(node, path, "has neither alert nor record; name the alert (alert: HostDown) or the new metric")
        rule = Rule(
            expr=self.text(fields.get("expr"), f"{path}.expr"),
            alert=alert,
            record=record,
            for_s=self.duration(fields.get("for"), f"{path}.for") or 0.0,
            keep_firing_for_s=self.duration(fields.get("keep_firing_for"), f"{path}.keep_firing_for") or 0.0,
            labels=self.labels(fields.get("labels"), f"{path}.labels"),
            annotations=self.labels(fields.get("annotations"), f"{path}.annotations", what="annotation"),
            line=node.line,
        )
        self._expression(rule, fields.get("expr") or node, path)
        if record:
            self._recording(rule, fields, path)
        if alert:
            self._templates(rule.labels, fields.get("labels"), f"{path}.labels")
            self._templates(rule.annotations, fields.get("annotations"), f"{path}.annotations")
        return rule

    def _expression(self, rule: Rule, node: Node, path: str) -> None:
        if not rule.expr:
            self.wrong(node, path, "has no expression; give it one: expr: up == 0")
            return
        try:
            expression = parse(rule.expr)
        except QueryError as error:
            line, column = node.line, node.column
            if error.position is not None and isinstance(node, Scalar):
                line, column = node.inside(error.position, self._lines)
            self.problems.append(Problem(line, column, f"{path}.expr", str(error)))
            return
        if expression.kind in {Kind.MATRIX, Kind.STRING}:
            message = "gives a range or a text; a rule needs an instant vector or a number, so this will fail"
            self._doubtful(node, f"{path}.expr", message)

    def _recording(self, rule: Rule, fields: Fields, path: str) -> None:
        for key, given in (
            ("annotations", rule.annotations),
            ("for", rule.for_s),
            ("keep_firing_for", rule.keep_firing_for_s),
        ):
            if given:
                self.wrong(fields[key], f"{path}.{key}", "only alerts have this; remove it, or make the rule an alert")
        wrong = bad_record(rule.record)
        if wrong:
            self.wrong(fields["record"], f"{path}.record", wrong)

    def _templates(self, texts: Mapping[str, str], node: Node | None, path: str) -> None:
        for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
            try:
                Template.compile(texts.get(name, ""))
            except TemplateProblem as problem:
                line, column = entry.node.line, entry.node.column
                if isinstance(entry.node, Scalar):
                    line, column = entry.node.inside(problem.at, self._lines)
                self.problems.append(Problem(line, column, under(path, name), f"template: {problem}"))

    def _tell_repeated(self, groups: Iterable[RuleGroup]) -> None:
        """Warn of rules that write the same series or raise the same alert (promtool lints them, and accepts them)."""
        seen: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        for group in groups:
            for rule in group.evaluated:
                key = rule.name, tuple(sorted(rule.labels.items()))
                if rule.name and key in seen:
                    message = (
                        f"the rule on line {seen[key]} has the same name and labels; they may get in each other's way"
                    )
                    where = f"groups[{group.name}].rules[{rule.name}]"
                    self.warnings.append(Problem(rule.line, 1, where, message))
                seen.setdefault(key, rule.line)
