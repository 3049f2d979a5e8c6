"""What Prometheus 3 reads: numbers in labels written in one way, names in quotes, samples whatever their exemplar."""

import pytest

from mainstay.observe.metrics.exposition import Exposition, Format, ParseError, Parser
from mainstay.observe.metrics.exposition.numbers import written_as_float
from mainstay.observe.metrics.scrape.names import unescaped_name

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS
both = pytest.mark.parametrize("form", Format)


def read(body: str, form: Format = TEXT, *, whole: bool = False) -> Exposition:
    """Read a body without its end: in full, then by numbers alone, which must give the same."""
    parser = Parser()
    written = (body + ("# EOF\n" if form is OPENMETRICS else "")).encode()
    found = parser.parse(written, form, whole=whole)
    again = parser.parse(written, form, whole=whole)
    assert again.layout is found.layout
    assert again.values.tobytes() == found.values.tobytes()
    return found


def series(body: str, form: Format = TEXT) -> list[dict[str, str]]:
    return read(body, form).layout.label_sets()


# --- numbers in le and quantile -------------------------------------------------------------------------------------


@pytest.mark.fault("M5")
@both
@pytest.mark.parametrize(
    ("kind", "label", "given", "kept"),
    [
        ("histogram", "le", "1", "1.0"),
        ("histogram", "le", "10", "10.0"),
        ("histogram", "le", "0.005", "0.005"),
        ("histogram", "le", "2.50", "2.5"),
        ("histogram", "le", "inf", "+Inf"),
        ("histogram", "le", "+Inf", "+Inf"),
        ("histogram", "le", "abc", "abc"),
        ("histogram", "quantile", "1", "1"),
        ("summary", "quantile", "0", "0.0"),
        ("summary", "quantile", "1", "1.0"),
        ("summary", "quantile", ".5", "0.5"),
        ("summary", "le", "1", "1"),
        ("gauge", "le", "1", "1"),
        ("counter", "quantile", "0", "0"),
    ],
)
def test_numbers_in_le_of_histograms_and_quantile_of_summaries_are_written_in_one_way(
    kind: str, label: str, given: str, kept: str, form: Format
) -> None:
    body = f'# TYPE h {kind}\nh_bucket{{{label}="{given}",path="1"}} 2\n'
    assert series(body, form) == [{"__name__": "h_bucket", label: kept, "path": "1"}]


@pytest.mark.fault("M5")
@both
def test_the_type_that_was_read_last_counts_as_in_prometheus(form: Format) -> None:
    body = '# TYPE h histogram\nh_bucket{le="1"} 1\n# TYPE g gauge\ng{le="1"} 1\nno_type{le="1"} 1\n'
    assert [labels["le"] for labels in series(body, form)] == ["1.0", "1", "1"]
    assert [labels["le"] for labels in series('h_bucket{le="1"} 1\n', form)] == ["1"]


@pytest.mark.fault("M5")
def test_a_gauge_histogram_stays_as_it_is() -> None:
    assert series('# TYPE h gaugehistogram\nh_bucket{le="1"} 1\n', OPENMETRICS)[0]["le"] == "1"


@pytest.mark.fault("M5")
def test_the_same_bucket_written_in_two_ways_is_the_same_series() -> None:
    one, other = (series(f'# TYPE h histogram\nh_bucket{{le="{le}"}} 1\n') for le in ("1", "1.00"))
    assert one == other


@pytest.mark.fault("M5")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("-1", "-1.0"), ("-0", "0.0"), ("100000", "100000.0"), ("1000000", "1e+06"), ("123456789", "1.23456789e+08"),
        ("0.0001", "0.0001"), ("0.00001", "1e-05"), ("1e21", "1e+21"), ("1e100", "1e+100"), ("2.5E3", "2500.0"),
        ("0.1", "0.1"), ("1e-7", "1e-07"), ("-Infinity", "-Inf"), ("nan", "NaN"), ("+nan", "+nan"),
        ("0x1p-2", "0.25"), ("0x1", "0x1"), ("1e400", "1e400"), ("0x1p9999", "0x1p9999"), ("1_000", "1_000"),
        ("", ""), (" 1", " 1"), ("1,5", "1,5"), ("999999.9999999999", "999999.9999999999"), ("5e-324", "5e-324"),
    ],
)  # fmt: skip
def test_a_label_is_a_number_as_go_reads_and_writes_it(given: str, kept: str) -> None:
    assert written_as_float(given) == kept


# --- names in quotes ------------------------------------------------------------------------------------------------


@pytest.mark.fault("M11")
@both
@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ('{"a_total",foo="b"} 1', {"__name__": "a_total", "foo": "b"}),
        ('{"a.b"} 1', {"__name__": "a.b"}),
        ('a{"host.name"="x"} 1', {"__name__": "a", "host.name": "x"}),
        ('{"a.b","host.name"="x",c="d"} 1', {"__name__": "a.b", "host.name": "x", "c": "d"}),
        ('{foo="b","a.b"} 1', {"__name__": "a.b", "foo": "b"}),
        ('{"größe in €"} 1', {"__name__": "größe in €"}),
        ('{"a \\"b\\" \\\\ \\n c"} 1', {"__name__": 'a "b" \\ \n c'}),
        ('{"a}{,=#"} 1', {"__name__": "a}{,=#"}),
        ('{"a # {b"} 1', {"__name__": "a # {b"}),
        ('a{"b c"="d 1"} 1', {"__name__": "a", "b c": "d 1"}),
        ('a{"b"=""} 1', {"__name__": "a"}),
        ('{"1"} 1', {"__name__": "1"}),
    ],
)
def test_names_in_quotes_may_be_any_text(line: str, labels: dict[str, str], form: Format) -> None:
    assert series(f"{line}\n", form) == [labels]


@pytest.mark.fault("M11")
def test_blanks_may_stand_around_names_in_quotes_in_the_text_format() -> None:
    found = read('\t{ "a.b" , "c.d" = "e" , } \t 1 17\n')
    assert found.layout.label_sets() == [{"__name__": "a.b", "c.d": "e"}]
    assert found.times is not None
    assert found.times.tolist() == [17]


@pytest.mark.fault("M11")
@both
def test_comments_name_metrics_in_quotes(form: Format) -> None:
    unit = '# UNIT "a.b_bytes" bytes\n' if form is OPENMETRICS else ""
    found = read(
        f'# HELP "a.b_bytes" Of \\\\ it.\n# TYPE "a.b_bytes" histogram\n{unit}{{"a.b_bytes",le="1"}} 1\n', form
    )
    (family,) = found.layout.families
    assert (family.name, family.type, family.help) == ("a.b_bytes", "histogram", "Of \\ it.")
    assert family.unit == ("bytes" if unit else "")
    assert found.layout.label_sets() == [{"__name__": "a.b_bytes", "le": "1.0"}]


@pytest.mark.fault("M11")
@both
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{foo="b"} 1', "names no metric"),
        ("{} 1", "names no metric"),
        ('{"a","b"} 1', "a second name of the metric"),
        ('a{"b"} 1', "a second name of the metric"),
        ('{""} 1', "a name that is empty"),
        ('a{""="b"} 1', "a name that is empty"),
        ('{"a","__name__"="b"} 1', "twice"),
        ('{"a","b"="c",b="d"} 1', "twice"),
        ("{a} 1", "write name="),
        ('{"a} 1', "close quotes and brace"),
        ('{"a"', "close quotes and brace"),
        ('{"a"}', "has no value"),
        ('{"a"="b} 1', "close quotes and brace"),
        ('{"a" "b"="c"} 1', "is no label"),
        ('{"a.b"}{c="d"} 1', "is no"),
        ("a.b 1", "is no sample"),
        (" 1", "is no sample"),
    ],
)
def test_a_bad_line_with_names_in_quotes_is_refused_with_a_remedy(line: str, says: str, form: Format) -> None:
    with pytest.raises(ParseError) as refused:
        read(f"ok 1\n{line}\n", form)
    assert refused.value.line == 2
    assert says in refused.value.what


@pytest.mark.fault("M11")
@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("up", "up"), ("host.name", "host.name"), ("U__host_2e_name", "host.name"), ("U__a__b", "a_b"),
        ("U__gr_f6__df_e", "größe"), ("U___1F600_", "😀"), ("U___10ffff_", "\U0010ffff"), ("U__a_2F_b", "a/b"),
        ("U__", ""), ("U__a_", "U__a_"), ("U__a_2e", "U__a_2e"), ("U__a_zz_", "U__a_zz_"),
        ("U___d800_", "U___d800_"), ("U___110000_", "U___110000_"), ("U___1234567_", "U___1234567_"),
        ("u__a_2e_b", "u__a_2e_b"), ("a_U__b", "a_U__b"), ("U______", "__"),
    ],
)  # fmt: skip
def test_names_in_paths_may_be_escaped(written: str, name: str) -> None:
    assert unescaped_name(written) == name


# --- exemplars ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("M10")
@both
@pytest.mark.parametrize(
    "exemplar",
    [
        '# {"net.http"="abc"} 1.0',
        '# {trace_id="x"} 1.0 1520879607.789',
        '# {"net.http"="a \\" b",trace_id="x"} 1',
        '# {trace_id="x",} 1',
        '# {trace_id="x"}',
        '# {trace_id="x"} one',
        '# {trace_id="x"} 1 1e30',
        "# {trace_id=x} 1",
        '# {"trace_id"} 1',
        '# {trace_id="x} 1',
        '# {trace_id="x"} 1 # {trace_id="y"} 2',
        "# {} 1",
        "# {",
        "#",
        '#{trace_id="x"} 1',
        f'# {{trace_id="{"x" * 500}"}} 1',
    ],
)
def test_an_exemplar_never_costs_its_sample(exemplar: str, form: Format) -> None:
    time = " 17" if form is OPENMETRICS else " 17000"
    found = read(f'm_total{{n="1"}} 0 {exemplar}\nm_total{{n="2"}} 3{time} {exemplar}\n', form)
    assert found.values.tolist() == [0, 3]
    assert [labels["n"] for labels in found.layout.label_sets()] == ["1", "2"]
    assert found.times is not None
    assert found.times.tolist()[1] == 17000


@pytest.mark.fault("M10")
@both
def test_what_only_looks_like_an_exemplar_stays(form: Format) -> None:
    body = '# HELP a The # of things, as in {x="1"} # {y}.\na{b="1 # {c",d="} 2 # {"} 3\n{"e # {f"} 4\n'
    found = read(body, form)
    assert found.values.tolist() == [3, 4]
    assert found.layout.label_sets() == [{"__name__": "a", "b": "1 # {c", "d": "} 2 # {"}, {"__name__": "e # {f"}]
    assert found.layout.families[0].help == 'The # of things, as in {x="1"} # {y}.'


@pytest.mark.fault("M10")
@both
def test_exemplars_that_change_leave_the_series_and_the_short_way_as_they_are(form: Format) -> None:
    parser = Parser()
    end = "# EOF\n" if form is OPENMETRICS else ""
    first = parser.parse(f'a 1 # {{x="1"}} 1\nb 2 # {{x=1\n{end}'.encode(), form)
    again = parser.parse(f'a 3 # {{x="2",y="3"}} 1\nb 4 # what\n{end}'.encode(), form)
    assert again.layout is first.layout
    assert again.values.tolist() == [3, 4]
    assert parser.fast == 1


# --- the last line --------------------------------------------------------------------------------------------------


@pytest.mark.fault("M12")
@pytest.mark.parametrize("last", ["b 12", 'b{c="d"} 12', "b 12 ", '{"b"} 12', 'b 12 # {x="y"} 1', "b 12 17000"])
def test_a_whole_body_may_lack_the_last_line_feed_and_a_body_that_may_be_cut_off_may_not(last: str) -> None:
    assert read(f"a 1\n{last}", whole=True).values.tolist() == [1, 12]
    with pytest.raises(ParseError, match="line 2: the last line is open: has the body been cut off"):
        read(f"a 1\n{last}")


@pytest.mark.fault("M12")
@pytest.mark.parametrize(("last", "says"), [("b", "has no value"), ('b{c="', "close quotes"), ("b 1\r", "carriage")])
def test_a_whole_body_whose_last_line_is_none_is_refused(last: str, says: str) -> None:
    with pytest.raises(ParseError, match=says):
        read(f"a 1\n{last}", whole=True)


@pytest.mark.fault("M12")
def test_a_whole_body_may_end_in_a_comment_or_be_empty() -> None:
    assert read("a 1\n# a comment", whole=True).values.tolist() == [1]
    assert read("", whole=True).values.tolist() == []
    assert Parser().parse(b"a 1\n# EOF", OPENMETRICS, whole=True).values.tolist() == [1]
    assert Parser().parse(b"a 1\n# EOF", OPENMETRICS).values.tolist() == [1]
