"""YAML of people and of files: whatever is wrong with it is one error, soon."""

import time

import pytest

from mainstay.foundation.yaml.nodes import data
from mainstay.foundation.yaml.problems import NotYaml
from mainstay.foundation.yaml.read import Manner, read_data, read_document
from mainstay.foundation.yaml.scalars import go_integer

LAUGHS = "a: &a [x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    "text",
    [
        # Each of these makes the library raise something else than its own error.
        "a: !!bool maybe",
        "a: !!int ''",
        "a: !!int '+'",
        "a: !!int _",
        "a: !!float ''",
        "a: !!float '.'",
        "a: !!timestamp soon",
        # And these are its own.
        "a: !!python/object/apply:os.system ['true']",
        "a: !!binary é",
        "{[a]: b}",
        "a: b: c",
        '"\\ud800"',
        "[" * 200_000,
        "{a: " * 900,
        LAUGHS,
        "&a [*a]",
        "a: &a {b: *a}",
    ],
)
@pytest.mark.timing
def test_what_cannot_be_read_is_one_error_and_soon(text: str) -> None:
    begin = time.monotonic()
    with pytest.raises(NotYaml):
        read_data(text)
    assert time.monotonic() - begin < 2


def test_the_error_names_the_line_and_only_its_detail_the_content() -> None:
    with pytest.raises(NotYaml) as caught:
        read_data("fine: 1\nsecret-of-the-file: b: c")
    assert str(caught.value) == "it is not YAML (line 2)"
    assert "(line 2, column 22)" in caught.value.placed
    for text in ("a: !!float secret-of-the-file", "a: !!bool secret-of-the-file"):
        with pytest.raises(NotYaml) as caught:
            read_data(text)
        assert "secret-of-the-file" not in f"{caught.value} {caught.value.placed}"


def test_what_people_write_is_read() -> None:
    assert read_data("headers: {A: b}\ncodes: [200, 201]\n") == {"headers": {"A": "b"}, "codes": [200, 201]}
    assert read_data(b"- targets: [a:1]\n") == [{"targets": ["a:1"]}]
    assert read_data("") is None


@pytest.mark.parametrize(
    "text", ["2026-13-45", "2026-01-01T00:00:00 -99:00", "0x_", "0b_", "9" * 5_000, "12:30", "on", "1_000"]
)
def test_what_yaml_1_1_stumbles_over_is_text(text: str) -> None:
    assert read_data(f"a: {text}") == {"a": text}


def test_lists_of_targets_keep_numbers_as_they_are_written() -> None:
    found = read_data("- {port: 0800, version: 1.10, on: true, none: ~}", as_text=True)
    assert found == [{"port": "0800", "version": "1.10", "on": "true", "none": None}]


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(NotYaml) as caught:
        read_data("a: 1\nb:\n  c: 1\n  c: 2\n")
    assert caught.value.placed == "c is given twice, first on line 3 (line 4, column 3)"


def test_as_go_reads_the_first_document_counts_and_tags_are_passed_over() -> None:
    document = read_document("a: !!str 5\n---\n[broken\n", Manner(as_go=True))
    assert document.root is not None
    assert data(document.root, as_text=True) == {"a": "5"}
    assert document.second == 2


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("5", 5),
        ("-1", -1),
        ("0x10", 16),
        ("0o17", 15),
        ("017", 15),
        ("0b11", 3),
        ("1_000", 1000),
        ("5.5", 5),
        ("x", None),
    ],
)
def test_integers_of_go(text: str, whole: int | None) -> None:
    assert go_integer(text) == whole
