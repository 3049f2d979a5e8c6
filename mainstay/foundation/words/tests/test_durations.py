from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from mainstay.foundation.words.durations import Duration, format_duration, parse_duration, spoken_duration, write_span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("800ms", 0.8),
        ("5s", 5),
        ("30m", 1800),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("0.5s", 0.5),
        (7, 7.0),
        (0.25, 0.25),
        ("12", 12.0),
        (" 5S ", 5.0),
        ("2w", 1209600),
        ("1w2d3h4m5s6ms", 788645.006),
        (0, 0.0),
    ],
)
def test_durations_as_people_write_them(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5 s",
        "-5s",
        -1,
        "5y",
        "s",
        "1e9",
        float("nan"),
        float("inf"),
        True,
        None,
        [],
        "9999999d",
        pytest.param(10**400, id="huge"),
        "٥s",
        "1s" * 50,
        "5m5m",  # a slip, which Prometheus refuses, too
        "1m1h",
        "1d1h1d",
    ],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.8, "800ms"), (5, "5s"), (90, "90s"), (5400, "90m"), (7200, "2h"), (86400, "1d"), (1.5, "1.5s")],
)
def test_the_short_text(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.one_of(st.integers(0, 10**8).map(float), st.integers(0, 10**7).map(lambda n: n / 1000), st.floats(1e-6, 3e8)))
def test_formatting_and_parsing_are_inverse(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.binary()))
def test_parsing_raises_nothing_but_value_errors(value: object) -> None:
    try:
        seconds = parse_duration(value)
    except ValueError:
        return
    assert 0 <= seconds <= 10 * 366 * 86400


def test_the_pydantic_type_stores_seconds_and_writes_text() -> None:
    class Model(BaseModel):
        limit: Duration

    model = Model.model_validate({"limit": "800ms"})
    assert model.limit == 0.8
    assert model.model_dump(mode="json") == {"limit": "800ms"}
    assert Model.model_validate(model.model_dump()) == model
    assert "anyOf" in Model.model_json_schema()["properties"]["limit"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2314, "231 ms"), (1.239, "1.24 s"), (180, "3 min"), (9000, "2.5 h"), (1036800, "12 days")]
)
def test_words_for_messages(seconds: float, words: str) -> None:
    assert spoken_duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (45, "45 s"),
        (303, "5 min 3 s"),
        (720, "12 min"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: int, words: str) -> None:
    assert write_span(timedelta(seconds=seconds)) == words


def test_a_length_that_somebody_set_is_said_in_full() -> None:
    assert write_span(timedelta(days=1, hours=2, minutes=30), 4) == "1 d 2 h 30 min"
