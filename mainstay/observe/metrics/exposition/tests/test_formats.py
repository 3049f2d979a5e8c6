"""What is read, what is refused, and that the refusal says where and how to mend it."""

import math
import struct

import pytest

from mainstay.observe.metrics.exposition import (
    NO_TIME,
    Exposition,
    Family,
    Format,
    ParseError,
    ParseLimits,
    Parser,
    format_of,
)

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS


def read(body: str, form: Format = TEXT, limits: ParseLimits | None = None) -> Exposition:
    return Parser(limits).parse(body.encode(), form)


def test_the_example_of_the_text_format() -> None:
    found = read(
        "# HELP http_requests_total The total number of HTTP requests.\n"
        "# TYPE http_requests_total counter\n"
        'http_requests_total{method="post",code="200"} 1027 1395066363000\n'
        'http_requests_total{method="post",code="400"}    3 1395066363000\n\n'
        "# Escaping in label values:\n"
        'msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""}'
        " 1.458255915e9\n"
        "# Minimalistic line:\nmetric_without_timestamp_and_labels 12.47\n"
        'something_weird{problem="division by zero"} +Inf -3982045\n'
        "# TYPE http_request_duration_seconds histogram\n"
        'http_request_duration_seconds_bucket{le="+Inf"} 144320\n'
        ' \t rpc { a = "b" , } \t 1e3 \t\n'
    )
    assert found.values.tolist() == [1027, 3, 1.458255915e9, 12.47, math.inf, 144320, 1000]
    assert found.times is not None
    assert found.times.tolist() == [1395066363000, 1395066363000, NO_TIME, NO_TIME, -3982045, NO_TIME, NO_TIME]
    sets = found.layout.label_sets()
    assert sets[2] == {
        "__name__": "msdos_file_access_time_seconds",
        "path": "C:\\DIR\\FILE.TXT",
        "error": 'Cannot find file:\n"FILE.TXT"',
    }
    assert sets[6] == {"__name__": "rpc", "a": "b"}
    assert found.layout.families[0] == Family("http_requests_total", "counter", "The total number of HTTP requests.")
    assert found.layout.label_sets() == sets  # asked again, it is read again


def test_openmetrics_with_units_exemplars_created_and_times() -> None:
    found = read(
        "# TYPE acme_http_router_request_seconds summary\n# UNIT acme_http_router_request_seconds seconds\n"
        '# HELP acme_http_router_request_seconds Latency\\nof \\"all\\" requests.\n'
        'acme_http_router_request_seconds_sum{path="/api"} 9036.32\n'
        'acme_http_router_request_seconds_created{path="/api"} 1605281325.0\n'
        "# TYPE foo histogram\n"
        'foo_bucket{le="1.0"} 11 # {trace_id="KOO5S4vxi0o",x="a b"} 0.67\n'
        'foo_bucket{le="+Inf"} 17 1520879607.789 # {trace_id="oHg5SJYRHA0"} 9.8 1520879607.789\n'
        "foo_count 17\n# EOF\n",
        OPENMETRICS,
    )
    assert found.values.tolist() == [9036.32, 1605281325.0, 11, 17, 17]
    assert found.times is not None
    assert found.times.tolist() == [NO_TIME, NO_TIME, NO_TIME, 1520879607789, NO_TIME]
    assert found.layout.families[0] == Family(
        "acme_http_router_request_seconds", "summary", 'Latency\nof "all" requests.', "seconds"
    )


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("NaN", math.nan), ("nan", math.nan), ("+Inf", math.inf), ("-inf", -math.inf), ("Infinity", math.inf),
        ("-0", -0.0), ("1.", 1.0), (".5", 0.5), ("1e-320", 1e-320), ("1.7976931348623157e308", 1.7976931348623157e308),
        ("0.1", 0.1), ("9007199254740993", 9007199254740992.0),
    ],
)  # fmt: skip
def test_numbers_are_read_to_the_last_bit(written: str, value: float) -> None:
    for form, body in ((TEXT, f"a {written}\n"), (OPENMETRICS, f"a {written}\n# EOF\n")):
        parser = Parser()
        for _ in range(2):  # in full, then by numbers alone
            assert struct.pack("<d", parser.parse(body.encode(), form).values[0]) == struct.pack("<d", value)
        assert (parser.full, parser.fast) == (1, 1)


@pytest.mark.parametrize("written", ["1_000", "0x1p-2", "١", "--1", "1e", "", "+", "e5", "inf1", "1,5", "None"])
def test_what_only_some_languages_call_a_number_is_refused_on_both_ways(written: str) -> None:
    parser = Parser()
    parser.parse(b"a 1\n")
    with pytest.raises(ParseError):
        parser.parse(f"a {written}\n".encode())
    with pytest.raises(ParseError):
        read(f"a {written}\n")
    assert parser.parse(b"a 2\n").values.tolist() == [2]


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("a 1\nb 2", 2, "cut off"),
        ("a 1\nb\n", 2, "has no value"),
        ('a 1\nb{x="y\n', 2, "close quotes and brace"),
        ('b{x="y"}\n', 1, "has no value"),
        ('a{x="1",x="2"} 1\n', 1, "twice"),
        ('a{__name__="b"} 1\n', 1, "twice"),
        ("a{x=1} 1\n", 1, 'write name="value"'),
        ('a{1="x"} 1\n', 1, "is no label"),
        ('a{x="1" y="2"} 1\n', 1, "comma"),
        ("a 1 2.5\n", 1, "unix milliseconds"),
        ("a 1 99999999999999999999\n", 1, "unix milliseconds"),
        ("a 1 2 3\n", 1, "is no sample"),
        ("a 1\r\n", 1, "carriage return"),
        ("# TYPE a counter\r\n", 1, "carriage return"),
        ("# TYPE a clock\n", 1, "write one of counter"),
        ("# TYPE 1a counter\n", 1, "name must follow"),
        ("# HELP\n", 1, "name must follow"),
        ("ä 1\n", 1, "begin with a metric's name"),
        ("<html>\n", 1, "begin with a metric's name"),
    ],
)
def test_a_bad_text_is_refused_with_line_and_remedy(body: str, line: int, says: str) -> None:
    with pytest.raises(ParseError) as refused:
        read(body)
    assert refused.value.line == line
    assert says in refused.value.what


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("", 1, "# EOF"),
        ("a 1\n", 1, "cut off"),
        ("a 1\n# EOF\nb 1\n", 3, "cut off"),
        ("a 1\n# EOF\nb 1\n# EOF\n", 2, "before the end"),
        ("a 1\n\n# EOF\n", 2, "empty line"),
        ("a  1\n# EOF\n", 1, "no sample"),
        ('a{x="1",} 1\n# EOF\n', 1, "comma after the last"),
        ('{"a", "b"="c"} 1\n# EOF\n', 1, "blanks around labels"),
        ("# TYPE a counter\n# TYPE a counter\n# EOF\n", 2, "second TYPE"),
        ("a 1\n# TYPE a gauge\n# EOF\n", 2, "after its samples"),
        ("# UNIT a_bytes seconds\n# EOF\n", 1, "does not end with its unit"),
        ("# TYPE a untyped\n# EOF\n", 1, "is no type"),
        ("# a comment\n# EOF\n", 1, "OpenMetrics knows only"),
        ("a 1 1e30\n# EOF\n", 1, "unix seconds"),
    ],
)
def test_a_bad_openmetrics_is_refused_with_line_and_remedy(body: str, line: int, says: str) -> None:
    with pytest.raises(ParseError) as refused:
        read(body, OPENMETRICS)
    assert refused.value.line == line
    assert says in refused.value.what


def test_invalid_utf_8_names_its_line() -> None:
    with pytest.raises(ParseError, match=r"line 2: byte 9 .* not UTF-8"):
        Parser().parse(b'a 1\nb{x="\xff"} 1\n')


def test_bounds_are_kept() -> None:
    small = ParseLimits(samples=2, bytes=200, labels=2, name_length=5, value_length=5, help_length=10)
    for body, says in [
        ("a 1\nb 1\nc 1\n", "more than 2 samples"),
        ("a" * 300, "300 bytes"),
        ('a{a="1",b="2",c="3"} 1\n', "3 labels"),
        ("abcdef 1\n", "shorten"),
        ('a{abcdef="1"} 1\n', "shorten"),
        ('a{a="123456"} 1\n', "shorten"),
        ("# HELP a 12345678901\n", "shorten"),
    ]:
        with pytest.raises(ParseError, match=says):
            read(body, TEXT, small)


def test_hostile_lines_are_refused_in_linear_time() -> None:
    """Each of these is a megabyte; anything worse than linear would run into the timeout of the tests."""
    size = 1 << 20
    for body in (
        "a{" + 'x="' * (size // 3),
        "a{" + "\\" * size,
        'a{x="' + '\\"' * (size // 2),
        "a{" + 'x="1",' * (size // 6),
        "{" * size,
        "a" + " " * size + "\n",
        "# HELP a " + "\\" * size + "\n",
        'a{x="' + "y" * size + '"} 1\n',
        '{"a' + '\\"' * (size // 2),
        "{" + '"a",' * (size // 4) + "} 1\n",
    ):
        for form in Format:
            with pytest.raises(ParseError):
                read(body, form, ParseLimits(help_length=100))


def test_hostile_exemplars_are_left_out_in_linear_time() -> None:
    size = 1 << 20
    for exemplar in (
        " # {" + 'x="1",' * (size // 6),
        " # {} 1" * (size // 7),
        " # {" + '"x"="' * (size // 5),
        ' # {"' + "\\" * size,
        " #" * (size // 2),
    ):
        for form in Format:
            assert read(f"a 1{exemplar}\n# EOF\n", form).values.tolist() == [1]


def test_a_million_lines_are_refused_as_soon_as_they_are_too_many() -> None:
    with pytest.raises(ParseError, match="more than 200000 samples"):
        Parser().parse("".join(f'a{{x="{number}"}} 1\n' for number in range(1_000_000)).encode())


def test_the_content_type_names_the_format() -> None:
    assert format_of("application/openmetrics-text; version=1.0.0; charset=utf-8") is OPENMETRICS
    assert format_of("text/plain; version=0.0.4") is TEXT
    assert format_of("") is TEXT
