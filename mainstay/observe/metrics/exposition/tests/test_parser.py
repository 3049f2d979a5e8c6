"""The parser of a target: by numbers alone is the same as in full, round trips, and the reference library agrees."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_oracle
from prometheus_client.parser import text_string_to_metric_families as text_oracle

from mainstay.observe.metrics.exposition import NO_TIME, Exposition, Format, ParseError, Parser
from mainstay.observe.metrics.exposition.numbers import number as read_one
from mainstay.observe.metrics.exposition.numbers import numbers

names = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
label_names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: not name.startswith("__")
)
values = st.floats() | st.integers(-(2**60), 2**60).map(float)
label_values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["a b", '"', "\\", "\n", " 1\n", "}"]
)
series = st.tuples(names, st.dictionaries(label_names, label_values, max_size=3))
any_names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6).filter(
    lambda name: name != "__name__"
) | st.sampled_from(["a.b", "a b", '"', "\\", "\n", " 1\n", "}", " # {"])
any_series = st.tuples(names | any_names, st.dictionaries(label_names | any_names, label_values, max_size=3))
times = st.none() | st.integers(-(2**50), 2**50)
Sample = tuple[tuple[str, dict[str, str]], float, int | None]


def key(one: tuple[str, dict[str, str]]) -> tuple[object, ...]:
    return (one[0], *sorted((name, value) for name, value in one[1].items() if value))


samples = st.lists(st.tuples(series, values, times), max_size=12, unique_by=lambda sample: key(sample[0]))
any_samples = st.lists(st.tuples(any_series, values, times), max_size=12)


def number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return ("+Inf" if value > 0 else "-Inf") if math.isinf(value) else repr(value)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'


def written(samples: Sequence[Sample], form: Format) -> bytes:
    out = []
    for (name, labels), value, time in samples:
        is_word = re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", name) is not None
        inside = ",".join(
            ([] if is_word else [quoted(name)])
            + [
                f"{label if re.fullmatch(r'[a-zA-Z_][a-zA-Z0-9_]*', label) else quoted(label)}={quoted(text)}"
                for label, text in labels.items()
            ]
        )
        stamp = "" if time is None else f" {time}" if form is Format.TEXT else f" {time / 1000!r}"
        out.append(f"{name if is_word else ''}{'{' + inside + '}' if inside else ''} {number(value)}{stamp}\n")
    return "".join([*out, "# EOF\n" if form is Format.OPENMETRICS else ""]).encode()


def same(one: Exposition, other: Exposition) -> bool:
    assert one.values.tobytes() == other.values.tobytes()
    assert (one.times is None) == (other.times is None)
    if one.times is not None and other.times is not None:
        assert one.times.tolist() == other.times.tolist()
    return one.layout.label_sets() == other.layout.label_sets() and one.layout.families == other.layout.families


@given(any_samples, st.sampled_from(Format))
def test_what_is_written_is_read(samples: list[Sample], form: Format) -> None:
    found = Parser().parse(written(samples, form), form)
    assert found.values.tobytes() == np.array([value for _, value, _ in samples], np.float64).tobytes() or any(
        math.isnan(value) for _, value, _ in samples
    )
    np.testing.assert_array_equal(found.values, [value for _, value, _ in samples])
    assert [dict(labels) for labels in found.layout.label_sets()] == [
        {"__name__": name} | {label: value for label, value in labels.items() if value}
        for (name, labels), _, _ in samples
    ]
    wanted = [time for _, _, time in samples]
    assert found.times is None or found.times.tolist() == [NO_TIME if time is None else time for time in wanted]
    assert (found.times is None) == all(time is None for time in wanted)


@pytest.mark.long
@given(
    any_samples,
    st.lists(st.lists(st.tuples(values, times), min_size=12, max_size=12), max_size=4),
    st.sampled_from(Format),
)
def test_by_numbers_alone_is_the_same_as_in_full(
    samples: list[Sample], more: list[list[tuple[float, int | None]]], form: Format
) -> None:
    parser = Parser()
    first = parser.parse(written(samples, form), form)
    for row in more:
        body = written([(one, value, time) for (one, _, _), (value, time) in zip(samples, row, strict=False)], form)
        found = parser.parse(body, form)
        assert found.layout is first.layout
        assert same(found, Parser().parse(body, form))


@pytest.mark.long
@settings(max_examples=300)
@given(any_samples, st.data(), st.sampled_from(Format))
def test_a_body_with_any_change_is_read_as_a_fresh_parser_reads_it(
    samples: list[Sample], data: st.DataObject, form: Format
) -> None:
    """Letters are replaced, put in and cut out at random: both ways read the same or refuse with the same words."""
    body = written(samples, form)
    parser = Parser()
    parser.parse(body, form)
    begin = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(begin, min(len(body), begin + 4)))
    put = data.draw(
        st.sampled_from(
            [b"", b" ", b"\n", b"1", b"_", b'"', b"\\", b"#", b"}", b"\n\n", b" \n", b"\t", b"\xff", b" # {"]
        )
    )
    changed = body[:begin] + put + body[end:]
    try:
        wanted = Parser().parse(changed, form)
    except ParseError as error:
        with pytest.raises(ParseError, match=f"^{re.escape(str(error))}$"):
            parser.parse(changed, form)
        return
    assert same(parser.parse(changed, form), wanted)


@settings(max_examples=500)
@given(
    st.binary(max_size=80) | st.text('ab{}"\\=, \n#\t1.eNaInf_+-HELPTYOUFcountrgH', max_size=60).map(str.encode),
    st.sampled_from(Format),
)
def test_any_bytes_are_read_or_refused_never_worse(body: bytes, form: Format) -> None:
    parser = Parser()
    for _ in range(2):
        try:
            found = parser.parse(body, form)
        except ParseError:
            continue
        assert len(found.values) == len(found.layout) == len(found.layout.label_sets())


@pytest.mark.parametrize("form", Format)
def test_what_no_database_can_store_is_replaced_where_it_comes_in(form: Format) -> None:
    end = b"# EOF\n" if form is Format.OPENMETRICS else b""
    body = b'# HELP m A\x00B\nm{path="/x\x00y"} 1\n' + end
    parser = Parser()
    for _ in range(2):
        found = parser.parse(body, form)
        assert found.layout.label_sets() == [{"__name__": "m", "path": "/x\ufffdy"}]
    assert found.layout.families[0].help == "A\ufffdB"


def of_oracle(text: str, form: Format) -> list[tuple[dict[str, str], float]]:
    oracle = openmetrics_oracle if form is Format.OPENMETRICS else text_oracle
    return [
        (
            {"__name__": sample.name} | {name: value for name, value in sample.labels.items() if value},
            float(sample.value),
        )
        for family in oracle(text)
        for sample in family.samples
    ]


def order(found: list[tuple[dict[str, str], float]]) -> list[tuple[list[tuple[str, str]], str]]:
    return sorted((sorted(labels.items()), number(value)) for labels, value in found)


@pytest.mark.long
@given(samples)
def test_the_reference_parser_reads_the_same(samples: list[Sample]) -> None:
    body = written(samples, Format.TEXT)
    found = Parser().parse(body)
    ours = list(zip(found.layout.label_sets(), found.values.tolist(), strict=True))
    # The reference drops blanks from line ends, and the reference's splitlines knows more ends than \n: leave both out.
    if len(body.decode().splitlines()) == body.count(b"\n"):
        assert order(ours) == order(of_oracle(body.decode(), Format.TEXT))


def registry(amounts: Sequence[float]) -> CollectorRegistry:
    made = CollectorRegistry()
    counter = Counter("jobs", 'Jobs "done",\nso far.', ["queue"], registry=made)
    gauge = Gauge("depth_bytes", "Depth.", ["a", "b"], unit="bytes", registry=made)
    histogram = Histogram("took_seconds", "Took.", ["path"], registry=made)
    summary = Summary("size", "Size \\ of.", registry=made)
    Info("build", "Build.", registry=made).info({"version": 'v"1\n'})
    Enum("mode", "Mode.", states=["on", "off"], registry=made).state("on")
    for amount in amounts:
        counter.labels("a b").inc(abs(amount), exemplar={"trace_id": "x # {} 1"})
        gauge.labels("\\", 'q"\n').set(amount)
        histogram.labels("/").observe(amount, exemplar={"trace_id": "y"})
        summary.observe(amount)
    return made


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1e30), max_size=6), st.sampled_from(Format))
def test_what_the_reference_library_writes_is_read(amounts: list[float], form: Format) -> None:
    made = registry(amounts)
    body = openmetrics_exposition.generate_latest(made) if form is Format.OPENMETRICS else generate_latest(made)  # type: ignore[no-untyped-call]  # the library's
    found = Parser().parse(body, form)
    ours = list(zip(found.layout.label_sets(), found.values.tolist(), strict=True))
    assert order(ours) == order(of_oracle(body.decode(), form))
    types = {family.name: family.type for family in found.layout.families}
    assert types["depth_bytes"] == "gauge"
    assert types["took_seconds"] == "histogram"


def test_the_layout_changes_with_the_series_and_only_then() -> None:
    parser = Parser()
    first = parser.parse(b"a 1\nb 2\n")
    assert parser.parse(b"a 3\nb 4\n").layout is first.layout
    assert parser.parse(b"# a comment\na 3\nb 4\n").layout is first.layout
    assert parser.parse(b"a 3\nc 4\n").layout is not first.layout
    assert (parser.full, parser.fast) == (3, 1)
    helped = parser.parse(b"# TYPE a gauge\na 3\nc 4\n")
    assert helped.layout.families[0].type == "gauge"


def test_after_a_bad_body_the_series_are_still_known() -> None:
    parser = Parser()
    first = parser.parse(b"a 1\n")
    with pytest.raises(ParseError):
        parser.parse(b"a 1\nb")
    assert parser.parse(b"a 2\n").layout is first.layout
    assert parser.fast == 1


def test_a_number_beside_a_tab_is_read_in_full_each_time() -> None:
    parser = Parser()
    for value in (1, 2):
        assert parser.parse(f"a\t{value}\n".encode()).values.tolist() == [value]
    assert parser.fast == 0


def _bits(read: Sequence[float]) -> bytes:
    return np.array(read, np.float64).tobytes()


@given(
    st.lists(
        st.floats().map(repr)
        | st.integers().map(str)
        | st.text('0123456789.+-eEiInNfFaA,_ ul"', max_size=6)
        | st.sampled_from(["-0", "+0", "1e400", "null", "true", "1,2", ""]),
        max_size=5,
    )
)
def test_many_numbers_are_read_as_each_of_them(written: list[str]) -> None:
    try:
        each = [read_one(text) for text in written]
    except ValueError:
        with pytest.raises(ValueError):  # whatever it says: the caller reads in full then
            numbers(written)
    else:
        assert _bits(numbers(written)) == _bits(each)
