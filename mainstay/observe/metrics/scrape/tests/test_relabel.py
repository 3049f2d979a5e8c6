"""Relabelling, rule by rule as Prometheus has it, and what no rule may ever do."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mainstay.observe.metrics.scrape.relabel import Action, Relabelling, Rule, scraped_labels

Labels = dict[str, str]
A: Labels = {"a": "foo", "b": "bar", "c": "baz"}

# rules, labels, what becomes of them (None: dropped)
CASES: dict[str, tuple[list[dict[str, Any]], Labels, Labels | None]] = {
    "no rules": ([], A, A),
    "replace with groups": (
        [{"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "replacement": "ch${1}-ch${1}"}],
        A, A | {"d": "choo-choo"},
    ),
    "rules see what earlier ones made": (
        [
            {"source_labels": ["a", "b"], "regex": "f(.*);(.*)r", "target_label": "a", "replacement": "b${1}${2}m"},
            {"source_labels": ["c", "a"], "regex": "(b).*b(.*)ba(.*)", "target_label": "d", "replacement": "$1$2$2$3"},
        ],
        A, {"a": "boobam", "b": "bar", "c": "baz", "d": "boooom"},
    ),
    "drop": ([{"source_labels": ["a"], "regex": ".*o.*", "action": "drop"}], A, None),
    "drop needs the whole text": ([{"source_labels": ["a"], "regex": "o", "action": "drop"}], A, A),
    "alternatives are anchored as a whole": ([{"source_labels": ["a"], "regex": "f|o+", "action": "drop"}], A, A),
    "a dropped set meets no later rule": (
        [
            {"source_labels": ["a"], "regex": ".*o.*", "action": "drop"},
            {"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "replacement": "x"},
        ],
        A, None,
    ),
    "keep": ([{"source_labels": ["a"], "regex": "foo", "action": "keep"}], A, A),
    "keep what does not match": ([{"source_labels": ["a"], "regex": "no-match", "action": "keep"}], A, None),
    "keep without a regex keeps all": ([{"source_labels": ["zzz"], "action": "keep"}], A, A),
    "a label that is absent is empty": (
        [{"source_labels": ["a", "zzz", "b"], "regex": "foo;;bar", "action": "keep"}], A, A,
    ),
    "separator": (
        [{"source_labels": ["a", "b"], "separator": "||", "regex": "foo[|]{2}bar", "action": "drop"}], A, None,
    ),
    "no match, no replacement": (
        [{"source_labels": ["a"], "regex": "x(.*)", "target_label": "d", "replacement": "y"}], A, A,
    ),
    "an empty replacement removes the label": (
        [{"source_labels": ["a"], "regex": "(f).*", "target_label": "b", "replacement": ""}],
        A, {"a": "foo", "c": "baz"},
    ),
    "a fixed label without sources": (
        [{"target_label": "team", "replacement": "blue"}], A, A | {"team": "blue"},
    ),
    "the target label from a group": (
        [{"source_labels": ["a"], "regex": "(f)(oo)", "target_label": "x_${2}", "replacement": "${1}"}],
        A, A | {"x_oo": "f"},
    ),
    "a target label that is no name does nothing": (
        [{"source_labels": ["a"], "regex": ".(.*)", "target_label": "${1}", "replacement": "y"}],
        {"a": "1"}, {"a": "1"},
    ),
    "named groups": (
        [{"source_labels": ["a"], "regex": "(?P<first>.)(?P<rest>.*)", "target_label": "d",
          "replacement": "${rest}-$first"}],
        A, A | {"d": "oo-f"},
    ),
    "$1x is the group 1x, which is not there": (
        [{"source_labels": ["a"], "regex": "(.*)", "target_label": "d", "replacement": "[$1x]"}], A, A | {"d": "[]"},
    ),
    "two dollars are one": (
        [{"source_labels": ["a"], "regex": "(.*)", "target_label": "d", "replacement": "$$1$"}], A, A | {"d": "$1$"},
    ),
    "braces that do not close are text": (
        [{"source_labels": ["a"], "regex": "(.*)", "target_label": "d", "replacement": "${1"}], A, A | {"d": "${1"},
    ),
    "a group beyond the last is empty": (
        [{"source_labels": ["a"], "regex": "(.*)", "target_label": "d", "replacement": "<${7}$0>"}],
        A, A | {"d": "<foo>"},
    ),
    "an optional group that is absent is empty": (
        [{"source_labels": ["a"], "regex": "(x)?foo", "target_label": "d", "replacement": "<$1>"}], A, A | {"d": "<>"},
    ),
    "a dot matches a line end": (
        [{"source_labels": ["a"], "regex": "x.y", "target_label": "d", "replacement": "1"}],
        {"a": "x\ny"}, {"a": "x\ny", "d": "1"},
    ),
    "letters beyond ASCII": (
        [{"source_labels": ["a"], "regex": "(gr.)n", "target_label": "d", "replacement": "$1ß"},
         {"source_labels": ["a"], "regex": "(gr.)n", "target_label": "e", "replacement": "${1}ß"}],
        {"a": "grün"}, {"a": "grün", "e": "grüß"},
    ),
    "hashmod": (
        [{"source_labels": ["c"], "target_label": "d", "action": "hashmod", "modulus": 1000}], A, A | {"d": "976"},
    ),
    "hashmod of a text with a line end": (
        [{"source_labels": ["a"], "target_label": "d", "action": "hashmod", "modulus": 1000}],
        {"a": "foo\nbar"}, {"a": "foo\nbar", "d": "734"},
    ),
    "labelmap": (
        [{"regex": "(b.*)", "replacement": "bar_${1}", "action": "labelmap"}],
        {"a": "foo", "b1": "bar", "b2": "baz"},
        {"a": "foo", "b1": "bar", "b2": "baz", "bar_b1": "bar", "bar_b2": "baz"},
    ),
    "labelmap over labels that are there": (
        [{"regex": "__meta_(my_bar.*)", "replacement": "${1}", "action": "labelmap"}],
        {"__meta_my_bar": "aaa", "__meta_my_baz": "bbb", "__meta_other": "ccc", "my_bar": "old"},
        {"__meta_my_bar": "aaa", "__meta_my_baz": "bbb", "__meta_other": "ccc", "my_bar": "aaa"},
    ),
    "labeldrop": ([{"regex": "(b.*)", "action": "labeldrop"}], {"a": "1", "b1": "2", "b2": "3"}, {"a": "1"}),
    "labelkeep": (
        [{"regex": "(b.*)", "action": "labelkeep"}], {"a": "1", "b1": "2", "b2": "3"}, {"b1": "2", "b2": "3"},
    ),
    "lowercase": (
        [{"source_labels": ["a"], "target_label": "d", "action": "lowercase"}], {"a": "FoO"}, {"a": "FoO", "d": "foo"},
    ),
    "uppercase": (
        [{"source_labels": ["a"], "target_label": "a", "action": "uppercase"}], {"a": "fooß"}, {"a": "FOOß"},
    ),
    "keepequal": (
        [{"source_labels": ["a"], "target_label": "b", "action": "keepequal"}], {"a": "1", "b": "1"},
        {"a": "1", "b": "1"},
    ),
    "keepequal of what differs": (
        [{"source_labels": ["a"], "target_label": "b", "action": "keepequal"}], {"a": "1", "b": "2"}, None,
    ),
    "dropequal": (
        [{"source_labels": ["a"], "target_label": "b", "action": "dropequal"}], {"a": "1", "b": "1"}, None,
    ),
    "dropequal of what differs": (
        [{"source_labels": ["a"], "target_label": "b", "action": "dropequal"}], {"a": "1"}, {"a": "1"},
    ),
    "actions in capitals": ([{"source_labels": ["a"], "regex": "foo", "action": "Drop"}], A, None),
    "numbers of YAML": (
        [{"source_labels": ["a"], "regex": 5, "target_label": "d", "replacement": 8080}],
        {"a": "5"}, {"a": "5", "d": "8080"},
    ),
    "the address of an exporter that asks for others": (
        [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": "blackbox:9115"},
        ],
        {"__address__": "shop.example.com"},
        {"__address__": "blackbox:9115", "__param_target": "shop.example.com", "instance": "shop.example.com"},
    ),
}  # fmt: skip


UTF_8: dict[str, tuple[list[dict[str, Any]], Labels, Labels | None]] = {
    "replace": (
        [{"source_labels": ["host.name"], "target_label": "k8s.node", "replacement": "n-$1"}],
        {"host.name": "x"}, {"host.name": "x", "k8s.node": "n-x"},
    ),
    "replace to a name that is made": (
        [{"source_labels": ["a"], "target_label": "x.$1", "replacement": "y"}],
        {"a": "no name"}, {"a": "no name", "x.no name": "y"},
    ),
    "the metric's name": (
        [{"source_labels": ["__name__"], "regex": "a\\.(.*)", "target_label": "__name__", "replacement": "größe.$1"}],
        {"__name__": "a.b"}, {"__name__": "größe.b"},
    ),
    "keep": ([{"source_labels": ["host.name"], "regex": "x", "action": "keep"}], {"host.name": "y"}, None),
    "drop": ([{"source_labels": ["a b", "c"], "regex": "x;y", "action": "drop"}], {"a b": "x", "c": "y"}, None),
    "keepequal": (
        [{"source_labels": ["a.b"], "target_label": "c.d", "action": "keepequal"}], {"a.b": "1", "c.d": "2"}, None,
    ),
    "hashmod": (
        [{"source_labels": ["a"], "target_label": "h.m", "modulus": 1, "action": "hashmod"}],
        {"a": "x"}, {"a": "x", "h.m": "0"},
    ),
    "labelmap": (
        [{"regex": "__meta_(.+)", "replacement": "meta.$1", "action": "labelmap"}],
        {"__meta_a": "x"}, {"__meta_a": "x", "meta.a": "x"},
    ),
    "labelmap from names with dots": (
        [{"regex": "k8s\\.(.+)", "action": "labelmap"}], {"k8s.pod": "x"}, {"k8s.pod": "x", "pod": "x"},
    ),
    "labeldrop": ([{"regex": ".*\\..*", "action": "labeldrop"}], {"a.b": "x", "c": "y"}, {"c": "y"}),
    "labelkeep": (
        [{"regex": "a\\.b|é", "action": "labelkeep"}], {"a.b": "x", "c": "y", "é": "z"}, {"a.b": "x", "é": "z"},
    ),
    "uppercase": (
        [{"source_labels": ["a.b"], "target_label": "a.b", "action": "uppercase"}], {"a.b": "x"}, {"a.b": "X"},
    ),
}  # fmt: skip


def rules_of(given: Iterable[Mapping[str, Any]]) -> Relabelling:
    """Rules as written in a file, made ready."""
    return Relabelling([Rule.model_validate(each) for each in given])


@pytest.mark.parametrize("name", CASES)
def test_rules_do_what_prometheus_rules_do(name: str) -> None:
    rules, labels, expected = CASES[name]
    assert rules_of(rules).apply(labels) == expected


@pytest.mark.fault("M11")
@pytest.mark.parametrize("name", UTF_8)
def test_any_text_may_name_a_label(name: str) -> None:
    rules, labels, expected = UTF_8[name]
    assert rules_of(rules).apply(labels) == expected


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no target": ({"source_labels": ["a"]}, "`replace` needs `target_label`"),
    "no modulus": ({"action": "hashmod", "source_labels": ["a"], "target_label": "b"}, "needs `modulus`"),
    "no regex": ({"regex": "(", "target_label": "b"}, "is no regular expression of RE2"),
    "look-ahead": ({"regex": "(?=a)", "target_label": "b"}, "is no regular expression of RE2"),
    "no name to hash to": ({"action": "hashmod", "modulus": 1, "target_label": ""}, "needs `target_label`"),
    "no name to map to": ({"action": "labelmap", "replacement": ""}, "must not be empty"),
    "a source without a name": ({"target_label": "a", "source_labels": [""]}, "source_labels"),
    "labeldrop with sources": (
        {"action": "labeldrop", "regex": "a", "source_labels": ["b"]}, "takes regex only, not source_labels",
    ),
    "keepequal with a regex": (
        {"action": "keepequal", "source_labels": ["a"], "target_label": "b", "regex": "x"}, "not regex",
    ),
    "lowercase with a replacement": (
        {"action": "lowercase", "source_labels": ["a"], "target_label": "b", "replacement": "x"}, "no `replacement`",
    ),
    "an unknown action": ({"action": "explode"}, "replace"),
    "an unknown field": ({"target_lable": "b"}, "Extra inputs"),
    "a bomb": ({"target_label": "a", "regex": "((a{100}){100}){100}"}, "regular expression"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_rules_that_cannot_be_meant_are_refused(name: str) -> None:
    rule, words = REFUSED[name]
    with pytest.raises(ValidationError) as refused:
        Rule.model_validate(rule)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("exposed", "own", "honor", "expected"),
    [
        ({"a": "1"}, {"job": "j"}, False, {"a": "1", "job": "j"}),
        ({"job": "theirs"}, {"job": "j"}, False, {"job": "j", "exported_job": "theirs"}),
        ({"job": "theirs"}, {"job": "j"}, True, {"job": "theirs"}),
        (
            {"job": "theirs", "exported_job": "older"}, {"job": "j"}, False,
            {"job": "j", "exported_job": "older", "exported_exported_job": "theirs"},
        ),
        (
            {"job": "a", "exported_job": "b"}, {"job": "c", "exported_job": "d"}, False,
            {"job": "c", "exported_job": "d", "exported_exported_job": "a", "exported_exported_exported_job": "b"},
        ),
    ],
)  # fmt: skip
def test_labels_of_target_and_series_meet(exposed: Labels, own: Labels, honor: bool, expected: Labels) -> None:
    assert scraped_labels(exposed, own, honor=honor) == expected


names = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
label_sets = st.dictionaries(names, texts, max_size=6)
regexes = st.sampled_from(["(.*)", "a.*", "(.)(.*)", "[a-z]+", "(?P<x>a|b)?.*", "", "__.*"])
replacements = st.text(st.sampled_from("$${}1x_ab"), max_size=8)


@st.composite
def rule(draw: st.DrawFn) -> dict[str, Any]:
    action = draw(st.sampled_from(list(Action)))
    given: dict[str, Any] = {"action": action.value}
    if action not in (Action.LABEL_DROP, Action.LABEL_KEEP, Action.LABEL_MAP):
        given["source_labels"] = draw(st.lists(names, max_size=3))
        given["target_label"] = draw(names)
    if action not in (Action.KEEP_EQUAL, Action.DROP_EQUAL):
        given["regex"] = draw(regexes)
    if action is Action.REPLACE:
        given["replacement"] = draw(replacements)
    if action is Action.HASH_MOD:
        given["modulus"] = draw(st.integers(1, 2**53))
    return given


@given(st.lists(rule(), max_size=5), label_sets)
def test_whatever_rules_do_labels_stay_labels(rules: list[dict[str, Any]], labels: Labels) -> None:
    before = dict(labels)
    relabelling = rules_of(rules)
    after = relabelling.apply(labels)
    assert labels == before, "what is given is not touched"
    assert relabelling.apply(labels) == after, "the same again gives the same"
    if after is not None:
        assert all(after.values()), "an empty label is none"
        assert all(after), "what has no name is no label"


@given(label_sets, st.lists(names, min_size=1, max_size=3), st.integers(1, 50))
def test_hashmod_shares_all_label_sets_among_the_buckets(labels: Labels, sources: list[str], modulus: int) -> None:
    def kept(bucket: int) -> bool:
        rules: list[dict[str, Any]] = [
            {"action": "hashmod", "source_labels": sources, "target_label": "__tmp", "modulus": modulus},
            {"action": "keep", "source_labels": ["__tmp"], "regex": str(bucket)},
        ]
        return rules_of(rules).apply(labels) is not None

    assert sum(map(kept, range(modulus))) == 1


@given(replacements, texts)
def test_a_replacement_never_fails_and_without_dollars_is_itself(replacement: str, text: str) -> None:
    rule = {"source_labels": ["a"], "target_label": "b", "replacement": replacement, "regex": "(.*)"}
    made = rules_of([rule]).apply({"a": text})
    assert made is not None
    if "$" not in replacement:
        assert made.get("b", "") == replacement
