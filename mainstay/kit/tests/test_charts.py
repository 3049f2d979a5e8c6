"""What a chart shows, and what it refuses to pretend."""

import math
import re
import time
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kit import charts, scales
from mainstay.kit.scales import NBSP

BERLIN = ZoneInfo("Europe/Berlin")
START = 1_741_730_400.0  # 2025-03-11 22:00 UTC


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def path_of(svg: str, part: str) -> str:
    """Return the path data of the first element painted as `part`."""
    for element in parsed(svg).iter():
        if f"c-{part}" in (element.get("class") or "").split() and element.get("d"):
            return element.get("d") or ""
    raise AssertionError(f"nothing is painted as {part}")


def line(points: list[charts.Point], **options: object) -> str:
    settings: dict[str, object] = {"start": START, "end": START + 3600, "unit": "ms"} | options
    return charts.line_chart([charts.Series("p95", points)], **settings)  # type: ignore[arg-type]


def desc(svg: str) -> str:
    return next(e.text or "" for e in parsed(svg).iter() if e.tag.endswith("desc"))


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (412, "ms", "412 ms"), (1940, "ms", "1.94 s"), (61.44, "ms", "61.4 ms"), (0.412, "s", "412 ms"),
        (5400, "s", "1.5 h"), (0, "ms", "0 ms"), (12400, "/s", "12.4 k/s"), (1.5 * 2**30, "bytes", "1.5 GiB"),
        (0, "bytes", "0 B"), (7, "", "7"), (3, "requests", "3 requests"), (None, "ms", "–"), (math.nan, "%", "–"),
        (math.inf, "s", "–"), (-250, "ms", "-250 ms"),
    ],
)  # fmt: skip
def test_a_quantity_is_written_in_the_unit_a_person_would_choose(value: float | None, unit: str, written: str) -> None:
    assert scales.quantity(value, unit).replace(NBSP, " ") == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(100, "100"), (99.9999, "99.99"), (99.57, "99.57"), (99.93, "99.93"), (0.004, "<0.01"), (0, "0"), (250, "250")],
)
def test_a_percentage_below_a_hundred_is_never_written_as_a_hundred(value: float, written: str) -> None:
    assert scales.write_percent(value) == written


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300))
def test_value_ticks_enclose_the_values_in_steps_of_one_two_or_five(low: float, span: float) -> None:
    high = min(low + span, 1e300)
    ticks = scales.value_ticks(low, high)
    step = ticks[1] - ticks[0]
    lead = step / 10 ** math.floor(math.log10(step) + 1e-6)
    slack = step * 1e-3 + abs(low) * 1e-9
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert len(ticks) <= 8
    if abs(low) < step * 1e6:  # beyond, the floats themselves are coarser than the step
        assert min(abs(lead - m) for m in (1, 2, 5, 10)) < 0.01


# --- time -----------------------------------------------------------------------------------------------------------


def test_time_ticks_stand_at_round_hours_of_the_zone_and_midnight_is_a_date() -> None:
    ticks = scales.time_ticks(START, START + 6 * 3600, ZoneInfo("Asia/Kolkata"))
    assert [label for _, label in ticks] == ["04:00", "05:00", "06:00", "07:00", "08:00", "09:00"]
    berlin = scales.time_ticks(START, START + 6 * 3600, BERLIN)
    assert berlin[1] == (START + 3600, f"12{NBSP}Mar")


def test_the_hour_a_spring_night_skips_has_no_tick() -> None:
    start = datetime(2025, 3, 30, 0, 0, tzinfo=BERLIN).timestamp()
    labels = [label for _, label in scales.time_ticks(start, start + 5 * 3600, BERLIN)]
    assert labels == [f"30{NBSP}Mar", "01:00", "03:00", "04:00", "05:00", "06:00"]


def test_the_hour_an_autumn_night_repeats_has_one_tick() -> None:
    start = datetime(2025, 10, 26, 0, 0, tzinfo=BERLIN).timestamp()
    ticks = scales.time_ticks(start, start + 5 * 3600, BERLIN)
    assert [label for _, label in ticks] == [f"26{NBSP}Oct", "01:00", "02:00", "03:00", "04:00"]
    assert ticks[3][0] - ticks[2][0] == 7200


@pytest.mark.parametrize(
    ("span_s", "first"),
    [
        (20, "22:00:00"),
        (600, "22:00"),
        (7 * 86400, "12 Mar"),
        (90 * 86400, "13 Apr"),
        (200 * 86400, "Apr"),
        (3 * 365 * 86400, "2026"),
    ],
)
def test_the_span_chooses_between_seconds_hours_days_months_and_years(span_s: float, first: str) -> None:
    ticks = scales.time_ticks(START, START + span_s, UTC)
    assert 2 <= len(ticks) <= 8
    assert first in [label.replace(NBSP, " ") for _, label in ticks]


@given(
    st.floats(0, 4e9),
    st.floats(0.5, 1e9),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]),
)
def test_time_ticks_ascend_within_the_range(start: float, span: float, zone: str) -> None:
    times = [t for t, _ in scales.time_ticks(start, start + span, ZoneInfo(zone))]
    assert times == sorted(set(times))
    assert len(times) <= 10
    assert all(start <= t <= start + span for t in times)


# --- gaps and decimation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hole", [None, math.nan, math.inf])
def test_a_missing_value_leaves_the_line_open(hole: float | None) -> None:
    points: list[charts.Point] = [(START + i * 60, 80.0) for i in range(60)]
    points[30] = (points[30][0], hole)
    assert path_of(line(points), "line").count("M") == 2
    assert "1 gap without data" in desc(line(points))


def test_a_silence_longer_than_three_spacings_leaves_the_line_open() -> None:
    points: list[charts.Point] = [(START + i * 60, 80.0) for i in range(60) if not 20 < i < 30]
    assert path_of(line(points), "line").count("M") == 2
    assert path_of(line(points, gap_s=3600), "line").count("M") == 1


def test_a_single_point_between_gaps_is_a_dot() -> None:
    points: list[charts.Point] = [(START, 1.0), (START + 60, None), (START + 120, 2.0), (START + 180, None)]
    assert path_of(line(points), "dot").count("h0") == 2


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(10, 400))
def test_decimation_loses_no_extreme_and_never_grows(values: list[float], columns: int) -> None:
    run = [(START + i, v) for i, v in enumerate(values)]
    kept = charts.decimate(run, START, START + len(values), columns)
    assert len(kept) <= max(4 * columns + 4, 2 * columns)
    assert kept == sorted(kept)
    assert set(kept) <= set(run)
    assert max(v for _, v in kept) == max(values)
    assert min(v for _, v in kept) == min(values)
    assert (kept[0], kept[-1]) == (run[0], run[-1])


@pytest.mark.timing
def test_three_thousand_points_are_drawn_within_a_few_milliseconds() -> None:
    points: list[charts.Point] = [(START + i, 80 + 40 * math.sin(i / 50)) for i in range(3000)]
    points[1777] = (points[1777][0], 4000.0)
    best = math.inf
    for _ in range(5):
        begun = time.perf_counter()
        svg = line(points, end=START + 3000)
        best = min(best, time.perf_counter() - begun)
    assert best < 0.06
    assert len(svg) < 60_000
    assert "highest 4" in desc(svg)  # the one spike is still there


# --- odd values -----------------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.none(), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 5e-324, 1e308, -1e308, math.nan])
)


@given(st.lists(ODD, max_size=12), st.booleans(), st.sampled_from(["ms", "s", "%", "bytes", "/s", ""]))
def test_any_values_give_a_well_formed_picture_with_finite_places(
    values: list[float | None], standalone: bool, unit: str
) -> None:
    points: list[charts.Point] = [(START + i * 60, v) for i, v in enumerate(values)]
    times = [t for t, _ in points]
    pictures = [
        line(points, unit=unit, standalone=standalone),
        charts.stacked_area(
            times, [("a", values), ("b", values)], start=START, end=START + 3600, unit=unit, standalone=standalone
        ),
        charts.sparkline(values, standalone=standalone),
    ]  # fmt: skip
    for svg in pictures:
        for element in parsed(svg).iter():
            for name in ("d", "x1", "x2", "y1", "y2", "cx", "cy", "x", "y"):
                assert not re.search(r"nan|inf", element.get(name) or "")


def test_no_data_says_so_instead_of_drawing_a_line_at_zero() -> None:
    svg = line([])
    assert "no data in this range" in svg
    assert desc(svg).endswith("p95: no data.")
    assert path_of_or_none(svg) == ""


def path_of_or_none(svg: str) -> str:
    return "".join(e.get("d") or "" for e in parsed(svg).iter() if "c-line" in (e.get("class") or ""))


def test_a_range_without_length_is_drawn() -> None:
    parsed(charts.line_chart([charts.Series("a", [(START, 1.0)])], start=START, end=START, unit="ms"))


# --- what is on the chart -------------------------------------------------------------------------------------------


def test_the_description_states_range_extremes_and_last_value() -> None:
    points: list[charts.Point] = [(START, 72.0), (START + 60, 412.0), (START + 120, 88.0)]
    assert desc(line(points, zone=BERLIN)).replace(NBSP, " ") == (
        "11 Mar 2025 23:00 to 12 Mar 2025 00:00 (Europe/Berlin). p95: lowest 72 ms, highest 412 ms, last 88 ms."
    )


def test_threshold_mark_and_outage_are_drawn_with_their_names() -> None:
    svg = line(
        [(START + i * 60, 80.0) for i in range(60)],
        threshold=charts.Threshold(400, "400 ms for 5 min"),
        marks=[charts.Mark(START + 1800, "v2.14.1 deployed"), charts.Mark(START - 1, "before the range")],
        down=[charts.Interval(START + 600, START + 900, "down for 5 min"), charts.Interval(START - 9, START - 1)],
    )
    words = [e.text for e in parsed(svg).iter() if e.text]
    assert {"400 ms for 5 min", "v2.14.1 deployed", "down for 5 min"} <= set(words)
    assert "before the range" not in words
    assert svg.count("c-edge") == 1
    assert f"500{NBSP}ms" in words or f"400{NBSP}ms" in words  # the threshold is within the axis


def test_crowded_marks_keep_their_titles_when_their_labels_have_no_room() -> None:
    marks = [charts.Mark(START + 1800 + i, f"deploy {i}") for i in range(4)]
    svg = line([(START, 1.0), (START + 3600, 2.0)], marks=marks)
    assert svg.count("<title>deploy") == 4
    assert svg.count("c-note") == 2


def test_labels_are_escaped() -> None:
    svg = charts.line_chart(
        [charts.Series('<b>"p95"</b>', [(START, 1.0)])],
        start=START, end=START + 60, unit="<i>", marks=[charts.Mark(START + 9, "<script>")],
        threshold=charts.Threshold(1, "a & b"), title="<title>",
    )  # fmt: skip
    parsed(svg)
    assert "<script" not in svg
    assert "<b>" not in svg


def test_lines_differ_by_dash_as_well_as_by_colour() -> None:
    points: list[charts.Point] = [(START, 1.0), (START + 60, 2.0)]
    svg = charts.line_chart([charts.Series(n, points) for n in "abc"], start=START, end=START + 60, unit="ms")
    assert "c-dash-2" in svg
    assert "c-dash-3" in svg
    assert [e.text or e.tail for e in parsed(svg).iter("li")] == [None, None, None]
    assert "".join(parsed(svg).itertext()).endswith("abc")


def test_layers_are_stacked_in_order_and_a_time_without_any_value_is_a_gap() -> None:
    times = [START, START + 60, START + 120, START + 180, START + 240]
    svg = charts.stacked_area(
        times, [("dns", [1, 1, None, 1, 1]), ("connect", [2, 2, None, 2, 2])], start=START, end=START + 240, unit="ms"
    )
    bands = [e.get("d") or "" for e in parsed(svg).iter() if "c-band" in (e.get("class") or "")]
    assert [band.count("Z") for band in bands] == [2, 2]
    assert "Total: lowest 3" in desc(svg)
    assert f"Last: dns 1{NBSP}ms, connect 2{NBSP}ms" in desc(svg)
    readouts = [e.get("data-points") or "" for e in parsed(svg).iter() if e.get("data-points")]
    assert readouts[1].startswith("0:2 ")


def test_the_readout_carries_one_point_per_pixel_at_most() -> None:
    points: list[charts.Point] = [(START + i, float(i)) for i in range(3600)]
    data = next(e.get("data-points") for e in parsed(line(points)).iter() if e.get("data-points"))
    assert data is not None
    assert len(data.split()) <= 641


# --- two dresses ----------------------------------------------------------------------------------------------------


def test_a_page_chart_names_only_painted_parts_and_holds_no_literal_colour_or_style() -> None:
    svg = line([(START, 1.0), (START + 60, 2.0)], threshold=charts.Threshold(1, "x"))
    assert not re.search(r"#[0-9a-f]{3,6}\b|style=", svg)
    assert 'role="img"' in svg
    assert "aria-label=" in svg


def test_a_standalone_chart_needs_no_stylesheet() -> None:
    svg = line([(START, 1.0), (START + 60, 2.0), (START + 120, None), (START + 180, 3.0)], standalone=True)
    root = parsed(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "class=" not in svg
    assert "var(" not in svg
    assert not [e.get("x1") for e in root.iter() if "%" in (e.get("x1") or "")]


# --- uptime and sparklines ------------------------------------------------------------------------------------------


def test_an_uptime_bar_tells_days_apart_by_shape_and_reads_each_day_aloud() -> None:
    days = [
        charts.Day("1 Mar", 1.0),
        charts.Day("2 Mar", 0.999),
        charts.Day("3 Mar", 0.5, "2 outages"),
        charts.Day("4 Mar", None),
    ]
    svg = charts.uptime_bar(days)
    heights = [float(e.get("stroke-width") or 0) for e in parsed(svg).iter("path")]
    assert len(set(heights)) == 4
    words = (parsed(svg).get("data-days") or "").replace(NBSP, " ").split("\n")
    assert words == ["1 Mar: 100 % up", "2 Mar: 99.9 % up", "3 Mar: 50 % up, 2 outages", "4 Mar: not measured"]
    assert "4 days, 83.3 % up, 2 days with downtime" in svg.replace(NBSP, " ")


def test_an_unmeasured_day_is_no_good_day() -> None:
    svg = charts.uptime_bar([charts.Day("1 Mar", None)])
    assert "nothing measured" in svg
    assert "tone-ok" not in svg


def test_a_bar_of_whole_days_is_one_short_path() -> None:
    svg = charts.uptime_bar([charts.Day(str(i), 1.0) for i in range(90)], readout=False)
    assert svg.count("<path") == 1
    assert len(svg) < 500


def test_a_sparkline_is_open_where_values_are_missing() -> None:
    svg = charts.sparkline([1, 2, None, 3, 4, math.nan, 5])
    assert svg.count("M") == 3
    assert 'aria-hidden="true"' in svg
    assert 'role="img"' in charts.sparkline([1, 2], label="rising")
