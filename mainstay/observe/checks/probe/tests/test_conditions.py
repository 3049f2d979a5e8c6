"""The condition language. The table follows what Gatus documents and does; differences are marked."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mainstay.observe.checks.probe.conditions import ConditionError, Observation, Placeholder, parse

DAY_S = 86400.0


def seen(body: str = "", **facts: object) -> Observation:
    return Observation(connected=True, body=body.encode(), **facts)  # type: ignore[arg-type]  # a table's row


@pytest.mark.parametrize(
    ("condition", "observation", "passed", "text"),
    [
        ("[IP] == 127.0.0.1", seen(ip="127.0.0.1"), True, None),
        ("[STATUS] == 200", seen(status=200), True, None),
        ("[STATUS] == 200", seen(status=503), False, "[STATUS] (503) == 200"),
        ("[status] == 200", seen(status=503), False, "[status] (503) == 200"),
        ("[STATUS] != 200", seen(status=200), False, "[STATUS] (200) != 200"),
        ("[STATUS] < 300", seen(status=404), False, "[STATUS] (404) < 300"),
        ("[STATUS] >= 200", seen(status=200), True, None),
        ("200 == [STATUS]", seen(status=201), False, "200 == [STATUS] (201)"),
        ("[RESPONSE_TIME] < 500", seen(response_time_s=0.05), True, None),
        ("[RESPONSE_TIME] < 1s", seen(response_time_s=2.0), False, "[RESPONSE_TIME] (2000) < 1s"),
        ("[RESPONSE_TIME] <= 0.2s", seen(response_time_s=0.2), True, None),
        ("[BODY] == test", seen("test"), True, None),
        ("[BODY] == test", seen(" test\n"), True, None),
        ("[BODY] == 1", seen("01"), True, None),
        ("[BODY] > 122", seen("123"), True, None),
        ("[BODY] > 123", seen("100"), False, "[BODY] (100) > 123"),
        ("[BODY].status == UP", seen('{"status":"UP"}'), True, None),
        ("[BODY].data.name == john", seen('{"data": {"id": 1}}'), False, "[BODY].data.name (INVALID) == john"),
        ("[BODY].a == [BODY].b", seen('{"a": "x", "b": "y"}'), False, "[BODY].a (x) == [BODY].b (y)"),
        ("[BODY][0].id == 1", seen('[{"id": 1}]'), True, None),
        ("[BODY].data[1].id == 2", seen('{"data": [{"id": 1}, {"id": 2}]}'), True, None),
        ("[BODY].data == OK", seen('{"data": null}'), False, "[BODY].data (INVALID) == OK"),
        ("[BODY].data == OK", seen("no json"), False, "[BODY].data (INVALID) == OK"),
        ("[BODY].data != OK", seen("{}"), True, None),
        ("[BODY].n == 15", seen('{"n": "0xF"}'), True, None),
        ("[BODY].n == 2", seen('{"n": "0b10"}'), True, None),
        ("[BODY].n == 8", seen('{"n": "010"}'), True, None),
        ("[BODY].ok == true", seen('{"ok": true}'), True, None),
        ("[BODY].balance > 100", seen('{"balance": "123.4"}'), True, None),
        ("[BODY].n == 1000000", seen('{"n": 1e6}'), True, None),
        ("[BODY].list == [1,2]", seen('{"list": [1, 2]}'), True, None),
        ("len([BODY].word) == 2", seen('{"word": "äö"}'), True, None),
        ("[BODY] == pat(* == *)", seen("a == b"), True, None),
        ("[BODY] == pat([a-z])", seen("q"), False, "[BODY] (q) == pat([a-z])"),
        ("[CERTIFICATE_EXPIRATION] > 2d", seen(certificate_expires_in_s=3 * DAY_S), True, None),
        (
            '[BODY].items.#(key=="value") == 1',
            seen('{"items": [{"key": "value"}]}'),
            False,
            '[BODY].items.#(key=="value") (INVALID) == 1',
        ),
        # Different from Gatus: fractions count, and what is missing is not zero.
        ("[BODY].ratio > 0.5", seen('{"ratio": 0.9}'), True, None),
        ("[BODY].missing < 5", seen("{}"), False, "[BODY].missing (INVALID) < 5"),
        ("[BODY].word < 5", seen('{"word": "many"}'), False, "[BODY].word (many) < 5"),
        ("[CONNECTED] == true", seen(), True, None),
        ("[CONNECTED] == true", Observation(), False, "[CONNECTED] (false) == true"),
        ("[CERTIFICATE_EXPIRATION] > 48h", seen(certificate_expires_in_s=3 * DAY_S), True, None),
        (
            "[CERTIFICATE_EXPIRATION] > 48h",
            seen(certificate_expires_in_s=DAY_S),
            False,
            "[CERTIFICATE_EXPIRATION] (24h) > 48h",
        ),
        (
            "[CERTIFICATE_EXPIRATION] > 30d",
            seen(certificate_expires_in_s=DAY_S),
            False,
            "[CERTIFICATE_EXPIRATION] (24h) > 30d",
        ),
        ("[DNS_RCODE] == NOERROR", seen(dns_rcode="NXDOMAIN"), False, "[DNS_RCODE] (NXDOMAIN) == NOERROR"),
        ("[HEADER].Content-Type == pat(*json*)", seen(headers={"content-type": ("application/json",)}), True, None),
        ("[HEADER].X == 1", seen(), False, "[HEADER].X (INVALID) == 1"),
        ("has([HEADER].X) == false", seen(), True, None),
        ("1 == 2", seen(), False, "1 == 2"),
        ("len([BODY].name) == 4", seen('{"name": "john"}'), True, None),
        ("len([BODY]) == 3", seen("[1, 2, 3]"), True, None),
        ("len([BODY].data) > 3", seen('{"data": [1]}'), False, "len([BODY].data) (1) > 3"),
        ("len([BODY].data) == 8", seen("{}"), False, "len([BODY].data) (INVALID) == 8"),
        ("len([BODY]) == 8", seen("john.doe"), True, None),
        ("len([BODY].age) == 2", seen('{"age": 18}'), True, None),
        ("len([BODY][0]) == 23", seen('[{"age":18,"adult":true}]'), True, None),
        ("has([BODY].errors) == false", seen("{}"), True, None),
        ("has([BODY].errors) == false", seen('{"errors": ["1"]}'), False, "has([BODY].errors) (true) == false"),
        ("has([BODY].a) == true", seen('{"a": null}'), False, "has([BODY].a) (false) == true"),
        ("[BODY] == pat(*john*)", seen('{"name": "john.doe"}'), True, None),
        ("[BODY].name == pat(bob*)", seen('{"name": "john.doe"}'), False, "[BODY].name (john.doe) == pat(bob*)"),
        (
            "[BODY] == pat(*x*)",
            seen("<!DOCTYPE html><html lang='en'>"),
            False,
            "[BODY] (<!DOCTYPE html><html lang...(truncated)) == pat(*x*)",
        ),
        ("[STATUS] == pat(4*)", seen(status=404), True, None),
        ("[STATUS] == any(200, 429)", seen(status=429), True, None),
        ("any(200, 429) == [STATUS]", seen(status=429), True, None),
        ("[STATUS] == any(200, 429)", seen(status=404), False, "[STATUS] (404) == any(200, 429)"),
        ("[STATUS] != any(200, 429)", seen(status=404), True, None),
        ("[BODY].items[*].ok == true", seen('{"items": [{"ok": true}, {"ok": true}]}'), True, None),
        (
            "[BODY].items[*].ok == true",
            seen('{"items": [{"ok": true}, {"ok": false}]}'),
            False,
            "[BODY].items[*].ok (false) == true",
        ),
        (
            "[BODY].items[*].ok == true",
            seen('{"items": []}'),
            False,
            "[BODY].items[*].ok == true (no elements matched)",
        ),
        ("age([BODY].at) < 10m", seen('{"at": "2024-01-01T00:00:00Z"}', now=1704067200 + 60), True, None),
        (
            "age([HEADER].Date) < 1s",
            seen(headers={"date": ("Mon, 01 Jan 2024 00:00:00 GMT",)}, now=1704067200 + 5),
            False,
            "age([HEADER].Date) (5000) < 1s",
        ),
        ("age([BODY].at) < 10m", seen('{"at": 1704067200}', now=1704067200 + 60), True, None),
        ("age([BODY].at) < 10m", seen('{"at": "soon"}'), False, "age([BODY].at) (INVALID) < 10m"),
    ],
)
def test_conditions(condition: str, observation: Observation, passed: bool, text: str | None) -> None:
    verdict = parse(condition).evaluate(observation)
    assert (verdict.passed, verdict.text) == (passed, text or condition)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("[STATUS] ? 201", "has no operator"),
        ("[STATUS]==201", "has no operator"),
        ("[STATUS] = = 201", "has no operator"),
        ("[STATUS] ==", "has no operator"),
        ("[STATUS]", "has no operator"),
        (" == 200", "lacks a value"),
        ("[STATSU] == 200", "unknown"),
        ("[DOMAIN_EXPIRATION] > 720h", "WHOIS"),
        ("[CONTEXT].x == 1", "suites"),
        ("[RESPONSE_TIME] < potato", "neither a number nor a duration"),
        ("[RESPONSE_TIME] < 300us", "neither a number nor a duration"),
        ("[STATUS] > any(1, 2)", "goes with == and != only"),
        ("len([BODY].users == 100", "closing bracket"),
        ("len(users) == 100", "no placeholder"),
        ("[STATUS].x == 1", "has no parts"),
        ("[HEADER] == x", "names no header"),
        ("[BODY].a[ == 1", "not well formed"),
        ("age([STATUS]) < 1s", "only [BODY] and [HEADER]"),
        ("age([BODY].x, 2006-01-02) < 1s", "layout"),
        ("has([BODY].a[*].b) == true", "ask for the array"),
        ("[BODY] == " + "x" * 3000, "at most 2000"),
    ],
)
def test_what_is_no_condition_is_refused_with_words(condition: str, words: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(condition)
    assert words in str(refused.value)


def test_a_condition_tells_what_it_asks_for() -> None:
    assert parse("len([BODY].x) == [STATUS]").asks == {Placeholder.BODY, Placeholder.STATUS}


PIECES = st.sampled_from(
    [
        "[STATUS]",
        "[BODY]",
        "[BODY].a",
        "[BODY][0]",
        "[BODY].a[*]",
        "[HEADER].x",
        "[IP]",
        "len(",
        "has(",
        "age(",
        "pat(",
        "any(",
        ")",
        " == ",
        " != ",
        " < ",
        " >= ",
        "200",
        "1h",
        "x",
        "*",
        "?",
        ",",
        "[",
        "]",
        " ",
        "0x",
        "-",
        "é",
        "\x00",
        "_1",
        "1_0",
        "1e999",
    ]
)


@given(
    st.one_of(st.lists(PIECES, max_size=9).map("".join), st.text(max_size=40)),
    st.one_of(
        st.binary(max_size=60), st.sampled_from([b'{"a": [1, {"a": "x"}]}', b"[[1], 2]", b'{"a": 1e400}', b"12", b"[]"])
    ),
)
@example("[BODY] == [BODY]", b"\xff")
@example("age([BODY]) < 1h", b"9999-12-31T23:59:59+00:00")
@example("age([BODY]) < 1h", b"0001-01-01T00:00:00+14:00")
@example("age([BODY]) < 1h", b"Mon, 01 Jan 99999 00:00:00 GMT")
@example("[BODY] == 1_0", b"9" * 500)
def test_parsing_raises_only_its_own_error_and_evaluating_raises_nothing(text: str, body: bytes) -> None:
    try:
        condition = parse(text)
    except ConditionError:
        return
    verdict = condition.evaluate(Observation(connected=True, status=200, body=body, headers={"x": ("1",)}, now=1.8e9))
    assert verdict.text
    if verdict.passed:
        assert verdict.text == text
