import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.checks.probe.jsonpath import MISSING, PathError, as_text, parse_json, parse_path

DOCUMENT = parse_json(b'{"a": {"b": [1, {"c": null}]}, "x.y": 2, "list": [{"n": 1}, {"n": 2}], "0": "zero"}')


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b[0]", 1),
        ("a.b.0", 1),
        ("a.b[1].c", None),
        ('["x.y"]', 2),
        ("['x.y']", 2),
        ("list[1].n", 2),
        ("[0]", "zero"),
        ("a.b[9]", MISSING),
        ("a.z.q", MISSING),
        ("a.b[0].c", MISSING),
        ("", DOCUMENT),
    ],
)
def test_a_path_leads_to_its_value(path: str, value: object) -> None:
    assert parse_path(path).one(DOCUMENT) == value


def test_every_element() -> None:
    path = parse_path("list[*].n")
    assert path.many
    assert list(path.all(DOCUMENT)) == [1, 2]
    assert list(parse_path("a[*].n").all(DOCUMENT)) == []


@pytest.mark.parametrize("path", ["a..b", "a[", "a[x]", "a]b", "a[-1]", ".", "a.", "[0]x", "a[99999999999]"])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(PathError, match="position"):
        parse_path(path)


@given(st.text(max_size=30))
def test_parsing_raises_only_its_own_error(text: str) -> None:
    try:
        path = parse_path(text)
    except PathError:
        return
    list(path.all(DOCUMENT))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 5000, b"NaN", b'{"a":1}x'])
def test_what_is_no_json_is_missing(body: bytes) -> None:
    assert parse_json(body) is MISSING


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (True, "true"),
        (None, "null"),
        (1.0, "1"),
        (1.5, "1.5"),
        (10**6, "1000000"),
        ({"b": 1, "a": [2]}, '{"a":[2],"b":1}'),
    ],
)
def test_values_as_text(value: object, text: str) -> None:
    assert as_text(value) == text
