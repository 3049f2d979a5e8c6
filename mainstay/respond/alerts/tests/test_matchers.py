"""Labels as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.refusal import Refused
from mainstay.respond.alerts.matchers import read, write

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", {}),
        ("application=shop", {"application": "shop"}),
        ("application = shop , check=front", {"application": "shop", "check": "front"}),
        ('note="a, b", x=1', {"note": "a, b", "x": "1"}),
        ("a=1\nb=2", {"a": "1", "b": "2"}),
        ("a=1,\n\nb=2,", {"a": "1", "b": "2"}),
        ("url=http://x/?a=b", {"url": "http://x/?a=b"}),
        ('a=""', {"a": ""}),
        ("a=1, a=1", {"a": "1"}),
        ('a="=b", c="~d"', {"a": "=b", "c": "~d"}),
        (r'a="say \"hi\" \\ you"', {"a": r'say "hi" \ you'}),
    ],
)
def test_what_people_type_is_read(text: str, labels: dict[str, str]) -> None:
    assert read(text) == labels


@pytest.mark.parametrize("text", ["shop", "a=", "=b", "a=1, a=2", 'a="open', "a b=c", ", a=1", "ä=1"])
def test_what_is_no_label_is_refused_with_its_words(text: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert refused.value.field == "matchers"


@pytest.mark.parametrize("text", ["a=~web.*", 'a=~"web.*"', "a==b", "a =~ b, c=d", "a!=b", "a!~b"])
def test_another_comparison_is_not_taken_for_a_value_that_nothing_has(text: str) -> None:
    with pytest.raises(Refused):
        read(text)


@given(st.dictionaries(NAMES, st.text(max_size=40), max_size=8))
def test_what_is_written_reads_back(labels: dict[str, str]) -> None:
    clean = {name: value.replace("\0", "") for name, value in labels.items()}
    assert read(write(clean)) == clean
