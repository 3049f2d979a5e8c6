"""Label matchers: Alertmanager's grammar and meaning, one canonical form, bounded regular expressions."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Field, ValidationError

from mainstay.foundation.columns import NOTHING, MatchField
from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.matching import Match, Matchers, Matching, Texts, equal
from mainstay.foundation.words.pattern import PatternError, compile_pattern


def read(*texts: str) -> Matchers:
    return Matchers.read(texts=texts)


def written(*matchers: tuple[str, str, str]) -> Matchers:
    """What one matcher after another means."""
    return read(*(f"{_text(name)}{operator}{_text(value)}" for name, operator, value in matchers))


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# Alertmanager's documented grammar, told in our own vectors: text → (name, operator, value) each.
READ: dict[str, list[tuple[str, str, str]]] = {
    "": [],
    "{}": [],
    "  { } ": [],
    "foo=bar": [("foo", "=", "bar")],
    'foo="bar"': [("foo", "=", "bar")],
    "{foo=bar}": [("foo", "=", "bar")],
    '{foo="bar"}': [("foo", "=", "bar")],
    '{foo="bar",}': [("foo", "=", "bar")],
    "foo=bar,": [("foo", "=", "bar")],
    '{ foo = "bar" , dings != "bums" , }': [("foo", "=", "bar"), ("dings", "!=", "bums")],
    "foo=bar,dings!=bums": [("foo", "=", "bar"), ("dings", "!=", "bums")],
    'statuscode=~"5.."': [("statuscode", "=~", "5..")],
    "statuscode=~5..": [("statuscode", "=~", "5..")],
    'foo!~"[a-z]+"': [("foo", "!~", "[a-z]+")],
    'foo="bar,quux", job="job1"': [("foo", "=", "bar,quux"), ("job", "=", "job1")],
    'foo="{bar}"': [("foo", "=", "{bar}")],
    'foo=""': [("foo", "=", "")],
    'foo!=""': [("foo", "!=", "")],
    r'quote="She said: \"Hi, ladies!\""': [("quote", "=", 'She said: "Hi, ladies!"')],
    r'path="E:\\"': [("path", "=", "E:\\")],
    r'text="two\nlines"': [("text", "=", "two\nlines")],
    'text="two\nlines"': [("text", "=", "two\nlines")],  # a line end as it is
    r'host=~"web\.example\.(com|org)"': [("host", "=~", r"web\.example\.(com|org)")],  # one backslash stays one
    r'host=~"web\\.example\\.(com|org)"': [("host", "=~", r"web\.example\.(com|org)")],
    r"host=~web\d+": [("host", "=~", r"web\d+")],
    r"text=two\n, a=b": [("text", "=", "two\n"), ("a", "=", "b")],
    r'smile="\u263a \U0001f642"': [("smile", "=", "☺ 🙂")],
    'foo="🙂"': [("foo", "=", "🙂")],
    "foo=🙂": [("foo", "=", "🙂")],
    '"cloud.account.name"="prod"': [("cloud.account.name", "=", "prod")],
    "cloud.account.name=prod": [("cloud.account.name", "=", "prod")],
    '{"a label, with=signs"=~"x.*"}': [("a label, with=signs", "=~", "x.*")],
    r'"say \"it\""=1': [('say "it"', "=", "1")],
    "größe=klein": [("größe", "=", "klein")],
    "team-name=a": [("team-name", "=", "a")],
    "a=1\nb=2": [("a", "=", "1"), ("b", "=", "2")],
    "a=1,\n\nb=2,": [("a", "=", "1"), ("b", "=", "2")],
    "url=http://x/?a=b": [("url", "=", "http://x/?a=b")],
    "note=two words": [("note", "=", "two words")],
    "a=1, a=1": [("a", "=", "1")],
}  # fmt: skip


@pytest.mark.fault("M22")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'foo="bar\n"', "bar\n"),
        (r'foo!="bar\n"', "bar\n"),
        (r'{foo="\n"}', "\n"),
        (r"foo=bar\n", "bar\n"),
        (r'foo="bar\\n"', r"bar\n"),
        (r'foo="bar\\w"', r"bar\w"),
        (r"foo=bar\\w", r"bar\w"),
        (r'foo="a\tb\r"', "a\tb\r"),
        (r'foo="\x41\u0042"', "AB"),
        (r'foo="bar}"', "bar}"),
        (r'foo=~"bar\w"', r"bar\w"),
        (r'foo!~"\d+\.x"', r"\d+\.x"),
        (r"foo=~bar\w", r"bar\w"),
    ],
)
def test_a_backslash_means_what_it_means_in_alertmanager(text: str, value: str) -> None:
    assert [matcher.texts for matcher in read(text).all] == [(value,)]


@pytest.mark.fault("M22")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r'foo="bar\w"', r'foo="bar\w": \w is no escape; write a backslash as \\'),
        (r'foo!="bar\w"', r"\w is no escape"),
        (r"foo=bar\w", r"\w is no escape"),
        (r"foo=bar\t", r"\t is no escape"),
        (r'foo="E:\dir"', r"\d is no escape"),
        (r'foo="\u12"', r"\u is no escape"),
        (r'foo="\U00110000"', r"\U00110000 is no escape"),
        (r'foo="\xff"', r"\x is no escape"),
        (r'"f\w"=x', r"\w is no escape"),
        ("foo=bar\\", "quote a value that holds"),
        ("foo=bar}", "a brace"),
        ("{foo=bar}}", "a brace"),
        ('{foo="bar"}}', "a brace"),
        ("foo=}bar", "a brace"),
        ("foo=bar},a=b", "a brace"),
    ],
)
def test_what_alertmanager_does_not_take_is_refused(text: str, says: str) -> None:
    with pytest.raises(Refused, match=re.escape(says)):
        read(text)


@pytest.mark.parametrize("text", READ)
def test_what_alertmanager_takes_is_read(text: str) -> None:
    assert read(text) == written(*READ[text])


REFUSED = {
    "shop": "'shop' is not name=value",
    "=b": "is not name=value",
    "a b=c": "is not name=value",
    ", a=1": "is not name=value",
    "a=1,,b=2": "is not name=value",
    "service != processing,speech": "'speech' is not name=value",
    "{foo=bar": "brace at the beginning is not closed",
    "foo=bar}": "a brace",
    "foo=bar{": "a brace",
    'foo="bar': "its quote is not closed",
    r'volume="E:\"': "a backslash is written twice",
    'foo=bar"': "quote a value that holds",
    'foo="bar"baz': "quote a value that holds",
    'foo="bar" baz="x"': "separate matchers by commas",
    "alertname=down node=db1": "separate matchers by commas",
    "foo='bar'": "double quotes",
    "foo=`bar`": "double quotes",
    "a=": 'for an empty one write a=""',
    "a= , b=c": 'for an empty one write a=""',
    "a==b": "write one of = != =~ !~",
    "a=~~b": "write one of = != =~ !~",
    "a=b|c": 'a=~"b|c"',
    "a!=b|c": 'a!~"b|c"',
    "a=1, a=2": "given twice with different values",
    'a=~"1|2", a=3': "given twice with different values",
    'foo=~"invalid[regex"': "the regular expression of foo cannot be used: 'invalid[regex' is no pattern: missing ]",
    'foo=~"(?=ahead)"': "look-around and back-references are not available",
    'foo!~"*"': "the regular expression of foo cannot be used",
    'foo=~"((a?){30}){30}"': "too large",
    "a=\x00": "no NUL",
    "a=\ud800": "no NUL",
    f"a={'x' * 1001}": "1000 characters at most",
    f"{'a' * 201}=b": "up to 200 characters",
    f'a=~"({"x" * 1000})"': "1000 characters",
    ",".join(f"a{number}=b" for number in range(51)): "at most 50 labels",
    "a=b," * 6_000: "more than 20000 characters",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_meant_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(Refused, match=re.escape(REFUSED[text])) as refused:
        read(text)
    assert refused.value.field == "matchers"


# From public threads about what matchers mean: text, labels, whether they match.
MEANT: list[tuple[str, dict[str, str], bool]] = [
    ('alertname="x"', {"alertname": "x"}, True),
    ('alertname="x"', {"alertname": "xy"}, False),
    ('alertname="x"', {}, False),
    ('example!~"silence1.+"', {"alertname": "x"}, True),  # a missing label is empty, and that does not match
    ('example!~"silence1.+",example!=""', {"alertname": "x"}, False),
    ('example!~"silence1.+|"', {"alertname": "x"}, False),
    ('notify=~".*"', {}, True),
    ('notify=~".+"', {}, False),
    ('notify!~".+"', {}, True),
    ('foo!="bar"', {}, True),
    ('foo=""', {}, True),
    ('foo=""', {"foo": ""}, True),
    ('foo=""', {"foo": "x"}, False),
    ('foo!=""', {"foo": ""}, False),
    ('foo=~"bar"', {"foo": "rebar"}, False),  # anchored at both ends
    ('foo=~"a|b"', {"foo": "ab"}, False),  # also around alternatives
    ('foo=~"a.*|b.*"', {"foo": "xb"}, False),
    ('foo=~"^a.c$"', {"foo": "abc"}, True),
    ('foo=~"a.c"', {"foo": "a\nc"}, False),  # a dot matches no line end
    ('foo=~"(?s)a.c"', {"foo": "a\nc"}, True),
    ('foo=~"(?i)ABC.?"', {"foo": "abc"}, True),
    (r'instance=~"web\.example\.com:\d+"', {"instance": "web.example.com:80"}, True),
    (r'instance=~"web\.example\.com:\d+"', {"instance": "webXexample.com:80"}, False),
    ('mount=~"/data|/var/{a}"', {"mount": "/data"}, True),
    ('name="braces {a}"', {"name": "braces {a}"}, True),
    ('foo=~"b.*", foo=~".*r"', {"foo": "bar"}, True),
    ('foo=~"b.*", foo=~".*z"', {"foo": "bar"}, False),
    ('foo!="a", foo!="b"', {"foo": "b"}, False),
    ('foo=~".*🙂.*"', {"foo": "a🙂b"}, True),
    ('foo=~"."', {"foo": "🙂"}, True),  # one character, not four bytes
]


@pytest.mark.parametrize(("text", "labels", "matches"), MEANT)
def test_they_mean_what_they_mean_in_alertmanager(text: str, labels: dict[str, str], matches: bool) -> None:
    found = read(text)
    assert found.matches(labels) is matches
    assert bool(found.mismatch(labels)) is not matches


@pytest.mark.parametrize(
    ("match", "texts", "told"),
    [
        ({"severity": "critical"}, [], "severity is major, not critical"),
        ({"severity": ["minor", "critical"]}, [], "severity is major, not minor or critical"),
        ({"severity": ""}, [], "severity is major, not empty"),
        ({"team": "a"}, [], "the alert has no team"),
        ({}, ["severity!=major"], "severity is major, which is excluded"),
        ({}, ['severity!~"major|minor"'], "severity is major, which is excluded"),
        ({}, ['severity=~"m.*", severity=~"c.*"'], "severity is major, which does not match c.*"),
        ({}, ['severity!~"m.*"'], "severity is major, which matches m.*"),
        ({}, ['team!=""'], "the alert has no team"),
        ({"application": "shop"}, ["severity=major"], ""),
    ],
)
def test_what_keeps_an_alert_from_matching_is_told(match: dict[str, Any], texts: list[str], told: str) -> None:
    assert Matchers.read(match, texts).mismatch({"severity": "major", "application": "shop"}) == told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("severity=critical, team=~a|b".replace("~a|b", '~"a|b"'), "severity is critical and team is a or b"),
        ('team=""', "team is empty"),
        ("team!=a, team!=b", "team is not a or b"),
        ('instance=~"web.*", instance!~"web1.*"', "instance matches web.* and instance does not match web1.*"),
        ("", ""),
    ],
)
def test_they_are_told_in_words(text: str, words: str) -> None:
    assert read(text).in_words() == words


@pytest.mark.parametrize(
    ("text", "canonical", "stored"),
    [
        ('{b="1",a="x y"}', 'b=1, a="x y"', {"b": "1", "a": "x y"}),
        ('a=~"shop"', "a=shop", {"a": "shop"}),
        (r'a=~"shop|web\.de|x\|y"', r'a=~"shop|web\\.de|x\\|y"', {"a": ["shop", "web.de", "x|y"]}),
        ('a!~"b|c"', "a!=b, a!=c", {"a": {"!=": ["b", "c"]}}),
        ('a=~"x|"', 'a=~"x|"', {"a": ["x", ""]}),
        ('a!~"c.*", a=~"b.*", a="bc"', 'a=bc, a=~"b.*", a!~"c.*"', {"a": {"=": ["bc"], "=~": ["b.*"], "!~": ["c.*"]}}),
        ('a=~"x|y|z", a=~"y|z"', 'a=~"y|z"', {"a": ["y", "z"]}),
        ('"ü x"=~"(a|b)"', '"ü x"=~"(a|b)"', {"ü x": {"=~": ["(a|b)"]}}),
    ],
)  # fmt: skip
def test_what_means_the_same_is_kept_and_written_the_same(text: str, canonical: str, stored: dict[str, Any]) -> None:
    found = read(text)
    assert (found.write(), found.stored()) == (canonical, stored)
    assert read(canonical) == Matchers.of(stored) == Matchers.read(found.match, found.matchers) == found


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
REGEXES = st.sampled_from(["a.*", r"web\.x-\d+", "(a|b)c?", "[^,]+", 'say "x"', "a{2,3}", r"\\+", "x\ny.", "a|b", ""])
ONES = st.tuples(NAMES, st.sampled_from(["!=", "=~", "!~"]), VALUES, REGEXES)


@given(
    st.dictionaries(NAMES, st.one_of(VALUES, st.lists(VALUES, min_size=1, max_size=3)), max_size=4),
    st.lists(ONES, max_size=4),
)
def test_whatever_is_meant_survives_each_way_of_writing(
    match: dict[str, Any], ones: list[tuple[str, str, str, str]]
) -> None:
    texts = [f"{_text(name)}{op}{_text(value if op == '!=' else regex)}" for name, op, value, regex in ones]
    try:
        found = Matchers.read(match, texts)
    except Refused as error:
        assert "given twice" in error.detail  # noqa: PT017
        return
    for again in (read(found.write()), Matchers.of(found.stored()), Matchers.read(found.match, found.matchers)):
        # Of several values any may come first: they mean the same.
        assert {(one.name, one.operator, frozenset(one.texts)) for one in again.all} == {
            (one.name, one.operator, frozenset(one.texts)) for one in found.all
        }
    for labels in ({}, dict.fromkeys(match, "a"), {name: value for name, _, value, _ in ones}):
        assert bool(found.mismatch(labels)) is not found.matches(labels)


@given(NAMES, VALUES)
def test_the_text_of_one_label_reads_back(name: str, value: str) -> None:
    assert read(equal(name, value)) == Matchers.read({name: value})


@given(st.text(max_size=60))
def test_no_text_ends_in_anything_but_matchers_or_a_refusal(text: str) -> None:
    try:
        found = read(text)
    except Refused:
        return
    assert set(read(found.write()).all) == set(found.all)


@given(
    st.text("ab.*+?|()[]{}\\\\^$-1,", max_size=8),
    st.lists(st.text("ab.*\\\\|{}1", max_size=5), min_size=1, max_size=5),
)
def test_what_saves_a_regular_expression_never_changes_the_answer(regex: str, values: list[str]) -> None:
    try:
        pattern = compile_pattern(regex)
    except PatternError:
        return
    found = Matchers.read({}, [f"a=~{_text(regex)}"])
    for value in values:
        assert found.matches({"a": value}) is pattern.fullmatch(value.encode())


class Spec(Matching):
    """What people write."""

    model_config = ConfigDict(extra="forbid")

    match: Match = Field(default_factory=dict)
    matchers: Texts = Field(default_factory=list)


@pytest.mark.parametrize(
    ("given_", "match", "matchers"),
    [
        ({"match": {"a": ["x"]}}, {"a": "x"}, []),
        ({"matchers": ['a="x"', "b=y, c!=z"]}, {"a": "x", "b": "y"}, ["c!=z"]),
        ({"match": {"a": "x"}, "matchers": ['{a=~"x|y", d!~"q.*"}']}, {"a": "x"}, ['d!~"q.*"']),
        ({"matchers": ["z!=1", "b!=2"]}, {}, ["b!=2", "z!=1"]),
    ],
)
def test_both_ways_of_a_spec_come_into_one_form(
    given_: dict[str, Any], match: dict[str, Any], matchers: list[str]
) -> None:
    spec = Spec.model_validate(given_)
    assert (spec.match, spec.matchers) == (match, matchers)
    assert spec.wanted == Matchers.read(match, matchers)


@pytest.mark.parametrize(
    ("given_", "place", "says"),
    [
        ({"matchers": ["a=b", 'c=~"["']}, ("matchers", 1), "the regular expression of c cannot be used"),
        ({"match": {"a": "x"}, "matchers": ["a=y"]}, ("matchers",), "given twice"),
        ({"match": {"a": {}}}, ("match", "a", "constrained-str"), "string"),
        ({"match": {"a": []}}, ("match", "a"), ""),
        ({"match": {"": "x"}}, ("match", ""), ""),
    ],
)
def test_a_mistake_in_a_spec_has_its_place(given_: dict[str, Any], place: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Spec.model_validate(given_)
    error = refused.value.errors()[0]
    assert error["loc"][: min(2, len(place))] == place[:2]
    assert says in error["msg"]


TODAY = [
    ({}, {"anything": "x"}, {}),
    ({"application": "shop", "check": "front"}, {"application": "shop", "check": "front"}, {"application": "shop"}),
    ({"severity": ["critical", "major"]}, {"severity": "major"}, {"severity": "minor"}),
    ({"severity": ["critical"]}, {"severity": "critical"}, {}),
    ({"note": 'a "b", c|d .*'}, {"note": 'a "b", c|d .*'}, {"note": "a"}),  # a comparison, whatever is in it
]


@pytest.mark.parametrize(("row", "takes", "leaves"), TODAY)
def test_rows_of_before_mean_what_they_meant(
    row: dict[str, Any], takes: dict[str, str], leaves: dict[str, str]
) -> None:
    found = Matchers.of(row)
    assert found.matches(takes)
    assert found.matches(leaves) is not bool(row)


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        "a=b",
        *({"a": wanted} for wanted in (1, None, [], [None], {}, {"=~": ["["]}, {"~": ["x"]}, {"=": "x"}, {"!=": [1]})),
    ],
)
def test_a_column_that_holds_something_else_matches_nothing(row: Any) -> None:
    assert MatchField().shaped(row) == NOTHING


HOSTILE = [r"(a+)+$", r"(a|aa)+b", r"(.*a){12}", r"(x+x+)+y", r"([a-zA-Z]+)*1", r".*.*.*.*.*="]


@pytest.mark.parametrize("regex", HOSTILE)
@pytest.mark.timing
def test_a_hostile_regular_expression_stays_quick(regex: str) -> None:
    found = Matchers.read(texts=[f'a=~"{regex}"'])
    began = time.perf_counter()
    for number in range(20):
        found.matches({"a": "a" * (10_000 + number)})
    assert time.perf_counter() - began < 2


def test_a_storm_meets_many_silences_quickly() -> None:
    """A million questions; comparisons answer most of them, and what is asked again is remembered."""
    silences = [
        read(f'alertname="Down{number % 7}", instance=~"web-{number}[0-9]?", team!="none"') for number in range(1_000)
    ]
    alerts = [{"alertname": f"Down{n % 11}", "instance": f"web-{n}", "team": "web"} for n in range(1_000)]
    began = time.perf_counter()
    held = sum(any(map_.matches(labels) for map_ in silences) for labels in alerts)
    taken = time.perf_counter() - began
    assert held
    assert taken < 10, f"{taken:.1f} s"
