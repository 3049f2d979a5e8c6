"""What the expression of a rule compares, and with what."""

import pytest

from mainstay.respond.rules.pages.comparison import Comparison, comparison


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up == 0", Comparison("up", "==", 0.0)),
        ("rate(errors[5m]) / rate(all[5m]) > 0.05", Comparison("rate(errors[5m]) / rate(all[5m])", ">", 0.05)),
        ("5 * 60 < age_seconds", Comparison("age_seconds", ">", 300.0)),
        ("(a > 5)", Comparison("a", ">", 5.0)),
        ("((a)) >= -1", Comparison("a", ">=", -1.0)),
        ("a > 5 and b", Comparison("a", ">", 5.0)),
        ("a > 5 unless on (job) up == 0", Comparison("a", ">", 5.0)),
        ("a > on (job) group_left (team) b", Comparison("a", ">", None, "b")),
        ("a > 1h", Comparison("a", ">", 3600.0)),
        ("a > 1e3 # not 2", Comparison("a", ">", 1000.0)),
        ('a{b=">5"} < 2 ^ 3', Comparison('a{b=">5"}', "<", 8.0)),
        ("a offset -5m > 0x10", Comparison("a offset -5m", ">", 16.0)),
        ("sum by (job) (a) != 2", Comparison("sum by (job) (a)", "!=", 2.0)),
        ("a > bool 5", None),
        ("a or b > 5", None),
        ("a + b", None),
        ("1 > 2", None),
        ("", None),
        ("a >", None),
        ('absent(up{job="x"})', None),
    ],
)
def test_the_comparison_of_an_expression(text: str, expected: Comparison | None) -> None:
    assert comparison(text) == expected


def test_what_holds_and_which_value_is_nearest_to_it() -> None:
    above, below = comparison("a > 5"), comparison("a < 5")
    assert above is not None
    assert below is not None
    assert (above.holds(6), above.holds(5), above.worst) == (True, False, "max")
    assert (below.holds(4), below.holds(5), below.worst) == (True, False, "min")
    between = comparison("a > b")
    assert between is not None
    assert between.holds(1) is None


@pytest.mark.parametrize(
    "text", ["(" * 5000, "a > " * 3000, "((a))" * 2000, '"', "{", "a{b=", "sum by (", "- - - -", "@", "[:"]
)
def test_what_cannot_be_read_compares_nothing(text: str) -> None:
    assert comparison(text) is None
