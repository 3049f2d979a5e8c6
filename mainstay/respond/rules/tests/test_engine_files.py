"""Rule files are read as Prometheus reads them: promtool accepts and refuses the same."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.metrics.durations import BadDuration, duration_ms, duration_s, written
from mainstay.respond.rules.files.read import BadRules, Rule, RuleGroup, read_rules
from mainstay.respond.rules.files.write import write_rules
from mainstay.respond.rules.tests.promtool import accepts, needs_promtool

WHOLE = """\
groups:
  - name: shop
    interval: 30s
    limit: 10
    rules:
      - record: job:errors:rate5m
        expr: sum by (job) (rate(errors_total[5m]))
        labels: {team: shop}
      - alert: ErrorRate
        expr: |
          job:errors:rate5m
            > 0.05
        for: 5m
        keep_firing_for: 1h30m
        labels:
          severity: critical
        annotations:
          summary: "{{ $labels.job }} is at {{ $value | humanizePercentage }}"
"""

ACCEPTED: dict[str, str] = {
    "whole": WHOLE,
    "empty": "",
    "only a comment": "# nothing\n",
    "null": "~",
    "no groups": "groups:",
    "an empty list": "groups: []",
    "a group without rules": "groups: [{name: a}]",
    "rules that are null": "groups: [{name: a, rules: ~}]",
    "numbers as texts": "groups: [{name: 1, rules: [{alert: 2, expr: 3, labels: {a: 4, b: true, c: ~}}]}]",
    "a negative limit": "groups: [{name: a, limit: -1, rules: []}]",
    "a duration of 0": "groups: [{name: a, interval: 0s, rules: [{record: b, expr: c, for: 0}]}]",
    "an empty annotation of a record": "groups: [{name: a, rules: [{record: b, expr: c, annotations: {}}]}]",
    "aliases": "groups: [{name: a, rules: [&r {alert: b, expr: c}, *r]}]",
    "merges": (
        "groups: [{name: a, rules: [{alert: b, expr: c, labels: &l {x: y}}, {alert: d, expr: e, labels: {<<: *l}}]}]"
    ),
    "a second document": "groups: []\n---\nanything: at all\n",
    "the same rule twice": "groups: [{name: a, rules: [{alert: b, expr: c}, {alert: b, expr: c}]}]",
    "a range as expression": "groups: [{name: a, rules: [{alert: b, expr: 'up[5m]'}]}]",
    "alertname as a label": "groups: [{name: a, rules: [{alert: b, expr: c, labels: {alertname: d}}]}]",
    "a template in a record's label": "groups: [{name: a, rules: [{record: b, expr: c, labels: {d: '{{ nope'}}]}]",
    "a colon in a record": "groups: [{name: a, rules: [{record: 'a:b:c', expr: c}]}]",
    "years and weeks": "groups: [{name: a, rules: [{alert: b, expr: c, for: 1y2w3d4h5m6s7ms}]}]",
    "a limit that is a fraction": "groups: [{name: a, limit: 5.5, rules: []}]",
    "an integer in other bases": "groups: [{name: a, limit: 0x10, rules: []}]",
    "a byte order mark": "\ufeffgroups: []",
    "a name with spaces": "groups: [{name: 'a b', rules: [{alert: 'c d', expr: e}]}]",
}

# What must be in the message, and on which line it must be placed.
REFUSED: dict[str, tuple[str | bytes, int, str]] = {
    "not YAML": ("groups: [}", 1, "not YAML"),
    "a tab": ("groups:\n\t- name: a", 2, "a tab in the indentation"),
    "a list on top": ("- a", 1, "begins with groups"),
    "an unknown field on top": ("group: []", 1, "did you mean groups?"),
    "an unknown field of a group": ("groups:\n- name: a\n  intervall: 1m", 3, "did you mean interval?"),
    "an unknown field of a rule": (
        "groups:\n- name: a\n  rules:\n  - alert: b\n    expression: c\n    expr: c", 5, "did you mean expr?"
    ),
    "no name": ("groups:\n- rules: []", 2, "the group has no name"),
    "a name twice": ("groups:\n- name: a\n- name: a", 3, "begins on line 2"),
    "a key twice": ("groups:\n- name: a\n  name: b", 3, "given twice, first on line 2"),
    "neither alert nor record": ("groups:\n- name: a\n  rules:\n  - expr: b", 4, "neither alert nor record"),
    "both": ("groups:\n- name: a\n  rules:\n  - alert: b\n    record: c\n    expr: d", 5, "both record and alert"),
    "no expression": ("groups:\n- name: a\n  rules:\n  - alert: b", 4, "has no expression"),
    "a broken expression": ("groups:\n- name: a\n  rules:\n  - alert: b\n    expr: sum(", 5, ""),
    "an unknown function": (
        "groups:\n- name: a\n  rules:\n  - alert: b\n    expr: |\n      up\n      + rats(up[5m])", 7, "Did you mean"
    ),
    "for on a record": (
        "groups:\n- name: a\n  rules:\n  - record: b\n    expr: c\n    for: 1m",
        6, "only alerts have this",
    ),
    "keep_firing_for on a record": (
        "groups:\n- name: a\n  rules:\n  - record: b\n    expr: c\n    keep_firing_for: 1m", 6, "only alerts have this"
    ),
    "annotations on a record": (
        "groups:\n- name: a\n  rules:\n  - record: b\n    expr: c\n    annotations: {d: e}", 6, "only alerts have this"
    ),
    "a name that is no metric": (
        "groups:\n- name: a\n  rules:\n  - record: 'a{b=\"c\"}'\n    expr: c",
        4, "has braces in it",
    ),
    "a bad label": (
        "groups:\n- name: a\n  rules:\n  - alert: b\n    expr: c\n    labels: {'': c}",
        6, "a key is missing",
    ),
    "the label __name__": (
        "groups:\n- name: a\n  rules:\n  - alert: b\n    expr: c\n    labels:\n      __name__: c", 7, "no label to set"
    ),
    "a bad annotation": (
        "groups:\n- name: a\n  rules:\n  - alert: b\n    expr: c\n    annotations: {'': c}", 6, "a key is missing"
    ),
    "a duration without a unit": ("groups:\n- name: a\n  interval: 30", 3, "write a number and a unit"),
    "a duration in the wrong order": ("groups:\n- name: a\n  interval: 5s1m", 3, "is not a duration"),
    "a duration with a fraction": ("groups:\n- name: a\n  interval: 1.5m", 3, "is not a duration"),
    "a limit in quotes": ("groups:\n- name: a\n  limit: '5'", 3, "is not an integer"),
    "a label that is a list": (
        "groups:\n- name: a\n  rules:\n  - alert: b\n    expr: c\n    labels: {d: [e]}",
        6, "is a list",
    ),
    "rules that are a mapping": ("groups:\n- name: a\n  rules: {a: b}", 3, "give a list"),
    "a rule that is a text": ("groups:\n- name: a\n  rules: [b]", 3, "a rule has alert or record"),
    "a template that is not closed": (
        "groups:\n- name: a\n  rules:\n  - alert: b\n    expr: c\n    annotations:\n      d: '{{ $value'",
        7, "end it with }}",
    ),
    "an unknown function in a template": (
        "groups:\n- name: a\n  rules:\n  - alert: b\n    expr: c\n    labels:\n      d: |\n"
        "        one\n        {{ humanise 1 }}",
        9, "did you mean humanize?",
    ),
    "not UTF-8": (b"groups: [{name: '\xff'}]", 1, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_prometheus_accepts_is_accepted(name: str) -> None:
    read_rules(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_prometheus_refuses_is_refused_with_line_and_advice(name: str) -> None:
    text, line, message = REFUSED[name]
    with pytest.raises(BadRules) as caught:
        read_rules(text, "shop.yml")
    problem = caught.value.problems[0]
    assert message in problem.detail
    assert problem.line == line
    assert str(caught.value).startswith(f"shop.yml:{line}:")


@pytest.mark.fault("M11")
def test_any_text_may_name_a_metric_a_label_and_an_annotation_as_in_prometheus_3() -> None:
    found = read_rules(
        "groups:\n- name: a\n  labels: {service.name: shop}\n  rules:\n"
        '  - record: http.requests größe\n    expr: \'sum by ("host.name") ({"http.requests"})\'\n'
        "    labels: {1a-b: c}\n"
        "  - alert: b\n    expr: c\n    labels: {host.name: '{{ $labels.x }}'}\n    annotations: {run.book: d}\n"
    )
    record, alert = found.groups[0].rules
    assert (record.record, record.labels) == ("http.requests größe", {"1a-b": "c"})
    assert (alert.labels, alert.annotations) == ({"host.name": "{{ $labels.x }}"}, {"run.book": "d"})
    assert [one.rules for one in read_rules(write_rules(found.groups)).groups] == [one.rules for one in found.groups]


@needs_promtool
@pytest.mark.parametrize("name", ACCEPTED)
def test_promtool_accepts_it(name: str, tmp_path: Path) -> None:
    fine, said = accepts(ACCEPTED[name], tmp_path)
    assert fine, said


@needs_promtool
@pytest.mark.parametrize("name", REFUSED)
def test_promtool_refuses_it(name: str, tmp_path: Path) -> None:
    fine, said = accepts(REFUSED[name][0], tmp_path)
    assert not fine, said


def test_a_file_becomes_values() -> None:
    found = read_rules(WHOLE, "shop.yml")
    group = found.groups[0]
    assert (group.name, group.interval_s, group.limit, group.query_offset_s) == ("shop", 30.0, 10, None)
    record, alert = group.rules
    assert record == Rule("sum by (job) (rate(errors_total[5m]))", record="job:errors:rate5m", labels={"team": "shop"})
    assert (alert.alert, alert.for_s, alert.keep_firing_for_ms, alert.line) == ("ErrorRate", 300.0, 5_400_000, 9)
    assert alert.expr == "job:errors:rate5m\n  > 0.05\n"


def test_all_mistakes_are_told_at_once() -> None:
    alert = "  - alert: b\n    expr: (\n    labels: {__name__: c}\n"
    text = f"groups:\n- name: a\n  rules:\n{alert}  - record: d\n    exp: e\n"
    with pytest.raises(BadRules) as caught:
        read_rules(text)
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (5, "groups[a].rules[b].expr"),
        (6, "groups[a].rules[b].labels.__name__"),
        (7, "groups[a].rules[d]"),
        (8, "groups[a].rules[d].exp"),
    ]


def test_what_is_likely_not_meant_is_a_warning() -> None:
    twice = read_rules("groups: [{name: a, rules: [{alert: b, expr: c}, {alert: b, expr: d}]}]").warnings
    assert "same name and labels" in twice[0].detail
    assert "needs an instant vector" in read_rules(ACCEPTED["a range as expression"]).warnings[0].detail
    assert read_rules(ACCEPTED["a second document"]).warnings[0].line == 2


def test_fields_of_prometheus_3_are_read() -> None:
    """Not compared with promtool 2.42, which knows neither `query_offset` nor labels of groups."""
    text = (
        "groups: [{name: a, query_offset: 30s, labels: {team: x, severity: minor},"
        " rules: [{alert: b, expr: c, labels: {severity: major}}]}]"
    )
    group = read_rules(text).groups[0]
    assert group.query_offset_ms == 30_000
    assert group.evaluated[0].labels == {"team": "x", "severity": "major"}
    assert group.rules[0].labels == {"severity": "major"}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000,
        "a: " * 2 + "{" * 5_000,
        "x: &a [" + "1," * 10 + "]\ny: [" + "*a," * 10 + "]",
        "\0",
        "a: !!python/name:x",
    ],
)
def test_a_hostile_file_is_refused_and_harms_nobody(text: str) -> None:
    with pytest.raises(BadRules):
        read_rules(text)


def test_aliases_cannot_make_more_rules_than_are_allowed() -> None:
    rules = "&r [" + "{alert: a, expr: b}," * 500 + "]"
    text = f"groups: [{{name: g, rules: {rules}}}," + "".join(f"{{name: g{n}, rules: *r}}," for n in range(100)) + "]"
    with pytest.raises(BadRules, match="more than 20000 rules"):
        read_rules(text)


# Round trips

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "__name__")
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=40).filter(
    lambda text: "{{" not in text
)
SPANS = st.integers(0, 10**10).map(lambda milliseconds: milliseconds / 1000)
LABELS = st.dictionaries(NAMES, TEXTS, max_size=3)
EXPRESSIONS = st.sampled_from(["up == 0", "rate(a[5m]) > 1", "a\n  + b\n", "1", "true_metric", "vector(1)"])
ALERTS = st.builds(
    Rule, expr=EXPRESSIONS, alert=TEXTS.filter(bool), for_s=SPANS, keep_firing_for_s=SPANS, labels=LABELS,
    annotations=LABELS,
)  # fmt: skip
RECORDS = st.builds(
    Rule, expr=EXPRESSIONS, record=st.from_regex(r"[a-z_:][a-z0-9_:]{0,9}", fullmatch=True), labels=LABELS
)
GROUPS = st.lists(
    st.builds(
        RuleGroup,
        name=TEXTS.filter(bool),
        rules=st.lists(ALERTS | RECORDS, max_size=4).map(tuple),
        interval_s=SPANS,
        query_offset_s=st.none() | SPANS,
        limit=st.integers(-5, 10**6),
        labels=LABELS,
    ),
    max_size=3,
    unique_by=lambda group: group.name,
)


@given(GROUPS)
def test_what_is_written_is_read_as_it_was(groups: list[RuleGroup]) -> None:
    text = write_rules(groups)
    assert list(read_rules(text).groups) == groups
    assert write_rules(read_rules(text).groups) == text


@needs_promtool
def test_promtool_reads_what_is_written(tmp_path: Path) -> None:
    fine, said = accepts(write_rules(read_rules(WHOLE).groups), tmp_path)
    assert fine, said


@given(st.integers(0, 9 * 10**12))
def test_durations_are_written_as_they_are_read(milliseconds: int) -> None:
    assert duration_ms(written(milliseconds / 1000)) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "1m5", "1s1m", "-5m", " 5m", "5M", "1h1h", "300y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadDuration):
        duration_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (90, "1m30s"), (0.25, "250ms"), (86400, "1d"), (604800, "1w"), (694800, "8d1h")]
)
def test_durations_are_written_in_few_words(seconds: float, text: str) -> None:
    assert written(seconds) == text
