"""YAML as a tree: positions, YAML 1.2's values, variables, and every way in which a file cannot be read."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.config.problems import BadFile, Problems
from mainstay.config.read import read
from mainstay.foundation.yaml.nodes import Mapping, Scalar, data
from mainstay.foundation.yaml.read import MOST_BYTES, MOST_DEPTH
from mainstay.foundation.yaml.scalars import resolve


def tree(text: str | bytes, **environ: str) -> tuple[Mapping, Problems]:
    problems = Problems()
    return read(text, environ, problems), problems


def value(text: str) -> Any:
    return data(tree(f"a: {text}\n")[0])["a"]


def refusal(text: str | bytes) -> str:
    with pytest.raises(BadFile) as caught:
        tree(text)
    (problem,) = caught.value.problems
    return problem.shown("f.yaml")


def test_every_key_and_value_knows_its_place() -> None:
    root, _ = tree("# first\napplications:\n  - name: shop\n    tier: critical\n")
    entry = root.entries["applications"]
    assert (entry.line, entry.column) == (2, 1)
    item = entry.node.items[0]  # type: ignore[union-attr]  # a Sequence, as the next line proves
    assert isinstance(item, Mapping)
    assert (item.entries["tier"].line, item.entries["tier"].column) == (4, 5)
    assert (item.entries["tier"].node.line, item.entries["tier"].node.column) == (4, 11)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("18:00", "18:00"),  # YAML 1.1 reads 1080
        ("no", "no"),
        ("on", "on"),
        ("2026-08-01", "2026-08-01"),
        ("1_000", "1_000"),
        ("0o17", 15),
        ("0x1F", 31),
        ("-5", -5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("a # comment", "a"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_plain_values_are_those_of_yaml_1_2(text: str, meant: object) -> None:
    assert value(text) == meant
    assert type(value(text)) is type(meant)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: \xff\n", "f.yaml:1:4: not UTF-8 text; save the file as UTF-8"),
        ("a: 1\n".encode("utf-16"), "f.yaml:1:1: not UTF-8 text; save the file as UTF-8"),
        ("a:\n\t- b\n", "f.yaml:2:1: a tab in the indentation; YAML wants spaces there"),
        ("a: 1\nb: x\0y\n", "f.yaml:2:5: a control character (U+0000) may not stand here; remove it"),
        ("a: \x1b[31m\n", "f.yaml:1:4: a control character (U+001B) may not stand here; remove it"),
        ("- a\n- b\n", "f.yaml:1:1: must be a mapping"),
        ("just text", "f.yaml:1:1: must be a mapping"),
        ("", "f.yaml:1:1: the file is empty"),
        ("# only a comment\n", "f.yaml:1:1: the file is empty"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here"),
        ("a: [1, 2\nb: 3\n", "f.yaml:2:2: not YAML: did not find expected ',' or ']', while parsing a flow sequence"),
        ('a: "x\n', "f.yaml:"),
        ("a: b: c\n", "f.yaml:1:5: not YAML: mapping values are not allowed in this context"),
        ("a: {b: ${X}}\n", "f.yaml:1:9: not YAML: did not find expected ',' or '}'"),
        ("a: *nowhere\n", "f.yaml:1:4: no anchor &nowhere stands before this alias"),
        ("a: &x {b: *x}\n", "f.yaml:1:11: the anchor &x contains itself here"),
        (
            "a: !!python/name:os.system x\n",
            "f.yaml:1:4: the tag tag:yaml.org,2002:python/name:os.system is not read here",
        ),
        ("a: !secret {b: 1}\n", "f.yaml:1:4: the tag !secret is not read here"),
        ("? [a]\n: b\n", "f.yaml:1:3: a key must be a single word"),
        ("a: &x [1]\n? *x\n: 1\n", "f.yaml:2:3: a key must be a single word"),
        ("<<: 5\n", "f.yaml:1:5: <<: takes a mapping"),
        ("a: " + "[" * (MOST_DEPTH + 5), f"f.yaml:1:{MOST_DEPTH + 3}: nested deeper than {MOST_DEPTH} levels"),
        ("a: " + "[" * 100_000, "nested deeper"),
        (b"#" * (MOST_BYTES + 1), "f.yaml:1:1: the file is larger than 5 MB"),
        ("a: " + "x" * 10_000_000, "f.yaml:1:1: the file is larger than 5 MB"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(text: str | bytes, said: str) -> None:
    assert said in refusal(text)


def test_a_hint_tells_to_quote_a_variable_inside_braces() -> None:
    assert 'put ${NAME} in quotes: "${NAME}"' in refusal("a: {b: ${X}}\n")


def test_a_hint_tells_to_quote_the_mask() -> None:
    assert 'put the mask in quotes: "********"' in refusal("a: ********\n")


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    tracemalloc.start()
    said = refusal("\n".join(lines))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "aliases expand this file to more than" in said
    assert most < 10_000_000


def test_anchors_and_merge_keys_work_and_own_keys_win() -> None:
    root, problems = tree("x-d: &d {every: 5s, severity: major}\na:\n  <<: *d\n  severity: minor\nb: *d\n")
    assert not problems.found
    assert data(root)["a"] == {"severity": "minor", "every": "5s"}
    assert data(root)["b"] == {"every": "5s", "severity": "major"}


def test_a_repeated_key_names_both_lines_and_the_path() -> None:
    _, problems = tree("applications:\n  - name: shop\n    tier: standard\n    tier: critical\n")
    assert [problem.shown("f") for problem in problems.ordered()] == [
        "f:4:5: applications[shop].tier: given twice, first on line 3; keep one"
    ]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("${HOST}", "db.example.org"),
        ("'${HOST}'", "db.example.org"),
        ("http://${HOST}:${PORT}/", "http://db.example.org:80/"),
        ("${MISSING:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${MISSING:-}", ""),
        ("$${HOST}", "${HOST}"),
        ("a$$b", "a$b"),
        ("^shop$", "^shop$"),
        ("$HOST", "$HOST"),
    ],
)
def test_variables_are_put_into_texts(text: str, meant: str) -> None:
    root, problems = tree(f"a: {text}\n", HOST="db.example.org", PORT="80", EMPTY="")
    assert not problems.found
    assert data(root)["a"] == meant


def test_variables_are_not_put_into_keys_and_stay_text() -> None:
    root, _ = tree("${PORT}: ${PORT}\n", PORT="80")
    assert data(root) == {"${PORT}": "80"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${MISSING}", "needs the environment variable MISSING, which is not set"),
        ("${EMPTY}", "needs the environment variable EMPTY, which is empty"),
        ("${}", "has a ${ that names no variable"),
        ("'${A B}'", "has a ${ that names no variable"),
        ("${OPEN", "has a ${ that names no variable"),
        ('"a\\0b"', "holds a NUL character"),
    ],
)
def test_bad_variables_are_told_and_reading_goes_on(text: str, said: str) -> None:
    root, problems = tree(f"a: {text}\nb: 1\n", EMPTY="")
    assert [problem.line for problem in problems.found] == [1]
    assert said in problems.found[0].detail
    assert data(root)["b"] == 1


def test_a_byte_order_mark_is_passed_over() -> None:
    assert data(tree("\ufeffa: 1\n".encode())[0]) == {"a": 1}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    problems = Problems()
    try:
        data(read(text, {}, problems))
    except BadFile as error:
        problems.found += error.problems
    assert all(problem.line >= 1 and problem.column >= 1 and problem.detail for problem in problems.found)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()))
def test_json_scalars_mean_themselves(scalar: float | bool | None) -> None:
    import json

    assert resolve(json.dumps(scalar)) == scalar


def test_scalars_keep_what_was_written() -> None:
    root, _ = tree("a: 007\n")
    node = root.entries["a"].node
    assert isinstance(node, Scalar)
    assert (node.value, node.text) == (7, "007")
