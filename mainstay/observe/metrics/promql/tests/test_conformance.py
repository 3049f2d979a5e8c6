"""The cases of Prometheus' own test suite, from the directory that PROMQL_TESTDATA names, and the runner itself."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.observe.metrics.promql.tests.conformance import (
    DOCUMENT,
    HEAD,
    NATIVE,
    STARTS,
    UNSUPPORTED,
    main,
    outcomes,
    outcomes_of,
    table,
    written,
)

DIRECTORY = os.environ.get("PROMQL_TESTDATA", "")
FILES = sorted(Path(DIRECTORY).glob("*.test")) if DIRECTORY else []
needs_files = pytest.mark.skipif(not DIRECTORY, reason="PROMQL_TESTDATA names no directory of *.test files")


@needs_files
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_cases_of_a_file_come_out_as_in_prometheus(path: Path) -> None:
    found = list(outcomes_of(path))
    assert found
    assert [f"{one.id} {one.query}: {one.error}" for one in found if one.error] == []


def table_of_the_document() -> list[str]:
    return re.findall(r"^\| (?:`.+\.test`|all) \|.*$", DOCUMENT.read_text("utf-8"), re.MULTILINE)


@needs_files
@pytest.mark.fault("M21")
def test_the_document_is_what_the_command_makes() -> None:
    """When this fails, with all files of its table: python -m mainstay.observe.metrics.promql.tests.conformance
    "$PROMQL_TESTDATA" --write"""
    found = outcomes(Path(DIRECTORY))
    assert list(found) == [path.name for path in FILES]
    made, document = table(found)[len(HEAD) :], table_of_the_document()
    assert [row for row in made[:-1] if row not in document] == []
    assert made == document or len(made) < len(document)


@pytest.mark.fault("M21")
def test_the_last_row_of_the_document_is_the_sum_of_the_others() -> None:
    def counted(row: str) -> Counter[str]:
        cases, passed, failed, left_out = (cell.strip() for cell in row.split("|")[2:6])
        reasons = (part.split(" ", 1) for part in re.split(r", (?=\d)", left_out) if part)
        numbers = {"cases": cases, "passed": passed, "failed": failed, **{reason: count for count, reason in reasons}}
        return Counter({name: int(count) for name, count in numbers.items()})

    *rows, every = map(counted, table_of_the_document())
    assert sum(rows, Counter[str]()) == +every
    assert every.total() == 2 * every["cases"]


@pytest.mark.fault("M21")
def test_the_document_names_what_is_left_out() -> None:
    section = DOCUMENT.read_text("utf-8").split("## What is supported")[1].split("### Functions")[0]
    for name in (*UNSUPPORTED, NATIVE, STARTS):
        assert all(word in section for word in re.findall(r"`\w+`", name) or [name])


# --- the runner ----------------------------------------------------------------------------------------------------

MIXED = """
load 1m
    up{job="a"} 1+1x10
    up{job="b"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x10

eval instant at 5m up{job="a"}
    up{job="a"} 6

eval instant at 5m up{job="b"}
    up{job="b"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}

eval instant at 5m histogram_avg(up{job="b"})
    {job="b"} 1.25

eval instant at 5m up
    up{job="a"} 6
    up{job="b"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}

eval instant at 5m abs(up)
    {job="a"} 7

eval instant at 5m count by (job) (up)
    {job="a"} 2

eval instant at 5m up{job="a"} * 2
    {job="a"} 13

# Not indented, as the newest files have it.
eval instant at 5m up{job="a"} +
expect fail

eval instant at 5m up{job="a"}
expect fail

eval range from 0 to 2m step 1m up{job="a"}
    up{job="a"} 1 2 3

eval instant at 5m up{job="a"}[2m]
    expect range vector from 4m to 5m step 1m
    up{job="a"} 5 6

eval instant at 5m up{job="a"}[2m]
    expect range vector from 4m to 5m step 1m
    up{job="a"} 5 7

eval instant at 5m up{job="a"}[2m]
    expect range of something

eval instant at 5m info(up{job="a"})
    up{job="a"} 6

# That it fails is no proof: it does because of something else than Prometheus means.
eval instant at 5m info(up{job="a"}, {__name__="other"})
expect fail

eval instant at 5m up{job="a"} + fill(0) up{job="c"}
    {job="a"} 6

# Which share it is differs; what stands in quotes asks for nothing.
eval instant at 5m count(limit_ratio(1, up{job="a", zone!="[1-2]"}))
    {} 7

eval instant at 5m increase(up{job="a"}[3m] anchored)
    {job="a"} 3

eval instant at 5m increase(up{job="a"}[1m+2m])
    {job="a"} 3

eval instant at 5m up{job="a"} offset (1m*2)
    up{job="a"} 4

eval instant at soon up{job="a"}
    up{job="a"} 6

eval instant at 5m up{job="a"}
    up{job="a"} six

eval instant at 5m up{job="a"}
    up{job="a" 6

explain up

clear

load_with_nhcb 1m
    latency_bucket{le="1"} 1+1x5
    latency_bucket{le="+Inf"} 2+2x5

eval instant at 5m latency_bucket{le="1"}
    latency_bucket{le="1"} 6

eval instant at 5m latency
    latency {{schema:-53 count:12 custom_values:[1] buckets:[6 6]}}

clear

load 1m
    started{job="a"}@st -30s -1m1ms+1mx2 _x1 0-1m
    started{job="a"} 1 2
    started{job="b"} 1 2

eval instant at 1m started
    started{job="a"} 2
    started{job="b"} 2

eval instant at 1m increase(started[2m:1m])
    {job="a"} 2
    {job="b"} 2

eval instant at 1m increase(started[2m])
    {job="a"} 3
    {job="b"} 2

eval instant at 1m increase(started[2m])
    {job="a"} 2
    {job="b"} 3

eval instant at 1m increase(started[2m])
    {job="a"} 2

eval instant at 1m sum(increase(started[2m]))
    {} 5

load 1m
    {"started", job="c"}@st soon

eval instant at 1m started
    started{job="a"} 2

load_from_somewhere 1m
    other 1

eval instant at 1m other
    other 1

clear

load 1m
    typed{__type__="counter"} 1

eval instant at 0 -typed
    {} -1

eval instant at 0 typed
    typed{__type__="counter", __unit__=""} 1

eval instant at -1m typed
"""
LEFT_OUT = {
    "native histograms": 5,
    "start timestamps": 3,
    "arithmetic in durations": 2,
    "`info`": 2,
    "`fill`": 1,
    "`anchored`, `smoothed`": 1,
    "labels `__type__` and `__unit__`": 1,
    "the hash of `limit_ratio`": 1,
    "not read: the time soon": 1,
    "not read: the value six": 1,
    'not read: the series up{job="a" 6': 1,
    "not read: the command explain": 1,
    "not read: the start timestamp soon": 1,
    "not read: expect range": 1,
    "not read: the command load_from_somewhere": 1,
}


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.test"
    path.write_text(MIXED)
    return path


@pytest.mark.fault("M21")
def test_a_file_with_things_that_are_not_supported_is_counted_case_by_case(mixed: Path) -> None:
    found = list(outcomes_of(mixed))
    reasons = [one.reason for one in found if one.reason]
    assert {reason: reasons.count(reason) for reason in {*LEFT_OUT, *reasons}} == LEFT_OUT
    assert [one.query for one in found if one.error] == [
        "abs(up)", 'up{job="a"} * 2', 'up{job="a"}', 'up{job="a"}[2m]', "increase(started[2m])",
    ]  # fmt: skip
    assert [one.error for one in found if one.error][2] == "it does not fail"
    passed = [one.query for one in found if not one.error and not one.reason]
    assert passed == [
        'up{job="a"}', 'up{job="a"} +', 'up{job="a"}', 'up{job="a"}[2m]', 'latency_bucket{le="1"}',
        "started", "increase(started[2m:1m])", "typed", "typed",
    ]  # fmt: skip


@pytest.mark.fault("M21")
def test_the_table_tells_what_passes_what_fails_and_why(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mixed.parent / "empty.test").write_text("# nothing\n")
    (mixed.parent / "plain.test").write_text("eval instant at 0 1 + 1\n  2\n\neval instant at 0 1\n  1\n")
    assert main([str(mixed.parent)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert tuple(printed[:2]) == HEAD
    assert printed.pop(2) == "| `empty.test` | 0 | 0 | 0 |  |"
    assert printed[2].startswith(
        "| `mixed.test` | 37 | 9 | 5 | 5 native histograms, 3 start timestamps, 2 `info`, 2 arithmetic in durations, "
    )
    assert printed[3] == "| `plain.test` | 2 | 2 | 0 |  |"
    assert printed[4].startswith("| all | 39 | 11 | 5 | 5 native histograms, ")
    assert printed[5:8] == ["", "Failed:", ""]
    assert printed[8] == "- `mixed.test:19` `abs(up)`: (('job', 'a'),) at 300000: 6.0 is not 7.0"
    assert printed[9] == "- `mixed.test:25` `up{job=\"a\"} * 2`: (('job', 'a'),): 12.0 is not 13.0"
    assert printed[10] == '- `mixed.test:32` `up{job="a"}`: it does not fail'
    assert printed[11].endswith("at 300000: 6.0 is not 7.0")
    assert printed[12].endswith("(('job', 'b'),) at 60000: 2.0 is not 3.0")
    assert len(printed) == 13


@pytest.mark.fault("M21")
@pytest.mark.parametrize("failing", [False, True])
def test_the_table_is_replaced_whether_cases_fail_or_not(mixed: Path, failing: bool) -> None:
    document = "before\n\n" + "\n".join([*HEAD, "| all | 0 | 0 | 0 |  |"]) + "\n\nafter\n"
    rows = table({mixed.name: [one for one in outcomes_of(mixed) if failing or not one.error]})
    changed = written(document, rows)
    assert changed == "before\n\n" + "\n".join(rows) + "\n\nafter\n"
    assert written(changed, rows) == changed
    assert written(changed, table({})) == document
    with pytest.raises(ValueError, match="no table"):
        written("before\n", rows)


def test_without_files_the_command_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == main([]) == 2
    assert "name a directory" in capsys.readouterr().err


@pytest.mark.fault("M21")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.sampled_from(MIXED.splitlines()),
            st.builds(lambda line, cut: line[:cut], st.sampled_from(MIXED.splitlines()), st.integers(0, 60)),
            st.text(st.characters(codec="utf-8"), max_size=30),
        ),
        max_size=12,
    )
)
def test_no_file_ends_the_run(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "any.test"
    path.write_text("\n".join(lines), "utf-8")
    table({path.name: list(outcomes_of(path))})
