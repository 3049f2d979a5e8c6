import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.words.text import is_web_link
from mainstay.respond.delivery.kinds import wording
from mainstay.respond.delivery.kinds.tests.samples import HOSTILE_TEXTS, MESSAGES, PLAIN, changed, everywhere, follow_up
from mainstay.respond.delivery.message import Event, Message


@given(MESSAGES)
def test_a_message_survives_json(message: Message) -> None:
    stored = message.to_json()
    assert Message.from_json(stored) == message
    assert Message.from_json(json.loads(stored)) == message


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_a_stored_message_holds_nothing_a_database_refuses(text: str) -> None:
    stored = everywhere(text, url=text, acknowledge_url=text, dedup_key=text).to_json()
    stored.encode("ascii")
    assert "\\u0000" not in stored
    assert "\\ud800 " not in stored


# As the version before there were kinds wrote it: such rows wait in outboxes while Mainstay is upgraded.
WITHOUT_A_KIND = (
    '{"event": "trigger", "title": "shop / storefront is down", "text": "GET http://127.0.0.1:9001/ answered 503'
    ' instead of 200, twice in a row.", "severity": "critical", "application": "shop", "environment": "production",'
    ' "labels": {"check": "storefront", "team": "web"}, "annotations": {"runbook": "https://wiki.example.org/storefront"},'
    ' "starts_at": "2026-03-01T14:05:09+00:00", "ends_at": null, "url": "https://mainstay.example.org/alerts/17",'
    ' "acknowledge_url": "https://mainstay.example.org/alerts/17/acknowledge?t=abc", "dedup_key": "alert:17", "reason":'
    ' "route severity=critical to ops; first notification", "actor": ""}'
)


def test_what_was_stored_before_there_were_kinds_is_about_an_alert() -> None:
    assert Message.from_json(WITHOUT_A_KIND) == PLAIN


def test_a_group_that_was_stored_before_there_were_kinds_is_read() -> None:
    one = json.loads(WITHOUT_A_KIND)
    found = Message.from_json(one | {"event": "update", "alerts": [one, one], "more": 3})
    assert found.alert is not None
    assert (found.alert.alerts, found.alert.number) == ((PLAIN, PLAIN), 5)


def test_a_worker_of_the_version_before_reads_what_is_queued_about_an_alert() -> None:
    """It knows these members, wants those without a default, and ignores all others."""
    assert json.loads(WITHOUT_A_KIND).items() <= json.loads(PLAIN.to_json()).items()


def test_an_older_worker_reads_what_a_newer_one_queued() -> None:
    newer = json.loads(PLAIN.to_json()) | {"runbook_url": "https://wiki.example.org/"}
    assert Message.from_json(newer) == PLAIN


@pytest.mark.parametrize(
    "stored",
    ["[]", "7", '"text"', "{}", "{", '{"title": 3}', PLAIN.to_json().replace('"critical"', '"urgent"')],
)
def test_a_malformed_stored_message_is_one_kind_of_error(stored: str) -> None:
    with pytest.raises(ValueError):
        Message.from_json(stored)


def test_times_are_kept_in_utc_and_naive_ones_refused() -> None:
    berlin_summer = timezone(timedelta(hours=2))
    message = changed(PLAIN, starts_at=datetime(2026, 7, 1, 12, 0, tzinfo=berlin_summer))
    assert message.at.isoformat() == "2026-07-01T10:00:00+00:00"
    with pytest.raises(ValueError, match="at must be an aware"):
        changed(PLAIN, starts_at=datetime(2026, 7, 1))  # noqa: DTZ001  # naive on purpose


def test_labels_cannot_be_changed_afterwards() -> None:
    labels = {"a": "1"}
    message = changed(PLAIN, labels=labels)
    labels["a"] = "2"
    assert message.alert is not None
    assert message.alert.labels == {"a": "1"}
    with pytest.raises(TypeError):
        message.alert.labels["a"] = "3"  # type: ignore[index]  # the point of this test


@given(st.text(), st.integers(1, 200))
def test_a_shortened_text_never_exceeds_its_limit(text: str, limit: int) -> None:
    short = wording.shorten(text, limit)
    assert len(short) <= limit
    assert short == text or short.endswith(wording.ELLIPSIS)


@given(st.lists(st.text("abcdef", min_size=1, max_size=10), min_size=2, max_size=30), st.integers(12, 100))
def test_a_shortened_text_keeps_whole_words(words: list[str], limit: int) -> None:
    text = " ".join(words)
    short = wording.shorten(text, limit).removesuffix(wording.ELLIPSIS)
    assert words[: len(short.split())] == short.split()


def test_one_long_word_is_cut_inside() -> None:
    assert wording.shorten("x" * 50, 10) == "x" * 9 + "…"
    assert wording.shorten("a" * 9 + " bc", 10) == "a" * 9 + "…"
    assert wording.shorten("fits", 4) == "fits"


@pytest.mark.fault("D1")
@pytest.mark.parametrize("limit", [40, 130, 255, 1024, 3000])
@pytest.mark.parametrize(
    "word",
    [
        "数据库连接失败请立即检查",
        "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo",
        '{"error":{"code":500,"detail":"x"}},',
        "ไม่สามารถเชื่อมต่อ",
        "👨‍👩‍👧‍👦",
        "é",
        "a",
    ],
)
def test_what_has_no_blanks_is_cut_inside(word: str, limit: int) -> None:
    text = f"Critical: {word * 3000}"
    short = wording.shorten(text, limit)
    assert text.startswith(short.removesuffix("…"))
    assert limit - 12 < len(short) <= limit, "about as long as may be"


@pytest.mark.fault("D1")
@pytest.mark.parametrize("character", ["👨‍👩‍👧‍👦", "e\N{COMBINING ACUTE ACCENT}", "❤\N{VARIATION SELECTOR-16}", "👍🏽"])
def test_no_cut_falls_within_what_one_sees_as_one_character(character: str) -> None:
    for limit in range(len(character) + 2, 60):
        kept = wording.shorten(character * 60, limit).removesuffix("…")
        assert kept == character * (len(kept) // len(character))


@given(st.text(st.characters()))
def test_one_line_is_one_line(text: str) -> None:
    line = wording.one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(char < " " or char in "\x7f\x85\u2028\u2029\u202e" for char in line)


@pytest.mark.parametrize(
    ("message", "state"),
    [
        (PLAIN, "Critical"),
        (follow_up(Event.REMIND), "Still critical"),
        (follow_up(Event.ACKNOWLEDGE), "Acknowledged"),
        (follow_up(Event.ACKNOWLEDGE, "Ann\n<b>"), "Acknowledged by Ann <b>"),
        (follow_up(Event.RESOLVE), "Resolved"),
        (follow_up(Event.RESOLVE, "Ann"), "Resolved by Ann"),
        (follow_up(Event.TEST), "Test"),
    ],
)
def test_the_state_is_said_in_words(message: Message, state: str) -> None:
    assert wording.state(message) == state
    assert wording.headline(message) == f"{state}: shop / storefront is down"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://a b/", 'https://a/"x', "https://a/\n", "", None, "ftp://a/"]
)
def test_only_web_addresses_become_links(url: str | None) -> None:
    assert not is_web_link(url, 100)
    assert is_web_link("https://mainstay.example.org/alerts/17", 100)
    assert not is_web_link("https://mainstay.example.org/" + "x" * 100, 100)
