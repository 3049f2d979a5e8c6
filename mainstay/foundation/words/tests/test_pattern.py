import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.words.pattern import PatternError, compile_pattern, glob_match


@pytest.mark.timing
@pytest.mark.parametrize("bomb", ["^(a+)+$", "^(a|aa)+$", "(a*)*b", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_patterns_that_explode_elsewhere_end_at_once(bomb: str) -> None:
    began = time.perf_counter()
    compile_pattern(bomb).search(b"a" * 200_000 + b"!")
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize(
    "pattern", ["(", "[z-a]", "(?=a)", r"(a)\1", "((a{30}){30}){30}", "a" * 1001, "\ud800", "(a?b?c?){300}"]
)
def test_what_re2_can_not_run_is_refused_with_a_reason(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


def test_bytes_that_are_not_utf8_do_not_disturb() -> None:
    assert compile_pattern("ok").search(b"\xff\xfe ok \xff")
    assert compile_pattern("café").search("le café".encode())


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*", "", True),
        ("*", "a\nb", True),
        ("a*c", "abc", True),
        ("a*c", "ab", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*b*", "abc", True),
        ("a*b*c", "axxbxxc", True),
        ("ab*ba", "aba", False),
        ("10.*", "10.0.0.1", True),
        ("(x)*", "(x)y", True),
        ("", "", True),
        ("", "a", False),
        ("4*", "404", True),
        ("?", "\n", True),
    ],
)
def test_globs(pattern: str, text: str, matches: bool) -> None:
    assert glob_match(pattern, text) is matches


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_globs_agree_with_a_plain_definition(pattern: str, text: str) -> None:
    def plain(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return plain(p[1:], t) or (bool(t) and plain(p, t[1:]))
        return bool(t) and t[0] == p[0] and plain(p[1:], t[1:])

    assert glob_match(pattern, text) is plain(pattern, text)


@pytest.mark.timing
def test_a_glob_bomb_ends_at_once() -> None:
    began = time.perf_counter()
    glob_match("*a?" * 60 + "b", "a" * 100_000)
    glob_match("*a*" * 60 + "b", "a" * 100_000)
    assert time.perf_counter() - began < 2
