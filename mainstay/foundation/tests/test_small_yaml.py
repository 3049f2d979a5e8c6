"""YAML of people and of files: whatever is wrong with it is one error, soon."""

import time

import pytest

from mainstay.foundation.small_yaml import BadYaml, read_yaml

LAUGHS = "a: &a [x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


@pytest.mark.timing
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
        "a: 2026-13-45",
        "a: 2026-01-01T00:00:00 -99:00",
        "a: 0x_",
        "a: 0b_",
        "a: " + "9" * 5_000,
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
def test_what_cannot_be_read_is_one_error_and_soon(text: str) -> None:
    begin = time.monotonic()
    with pytest.raises(BadYaml):
        read_yaml(text)
    assert time.monotonic() - begin < 2


def test_the_error_names_the_line_and_only_its_detail_the_content() -> None:
    with pytest.raises(BadYaml) as caught:
        read_yaml("fine: 1\nsecret-of-the-file: b: c")
    assert str(caught.value) == "it is not YAML (line 2)"
    assert "(line 2, column 22)" in caught.value.detail
    for text in ("a: !!float secret-of-the-file", "a: !!bool secret-of-the-file"):
        with pytest.raises(BadYaml) as caught:
            read_yaml(text)
        assert "secret-of-the-file" not in f"{caught.value} {caught.value.detail}"


def test_what_people_write_is_read() -> None:
    assert read_yaml("headers: {A: b}\ncodes: [200, 201]\n") == {"headers": {"A": "b"}, "codes": [200, 201]}
    assert read_yaml(b"- targets: [a:1]\n") == [{"targets": ["a:1"]}]
    assert read_yaml("") is None
