"""The classification that every HTTP channel shares, each status and each way to fail at a real socket."""

import time
from threading import Event
from typing import Any

import pytest

from mainstay.net.http import RETRY_AFTER_LIMIT_S, retry_after_s
from mainstay.net.resolver import Resolver, system_lookup
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, Refuse
from mainstay.respond.delivery.kinds.tests.receiver import (
    Behaviour,
    Receiver,
    closed_port,
    early_hints_then_reset,
    flood,
    garbage,
    hang,
    hang_up,
    head_only,
    reply,
    reset,
)
from mainstay.respond.delivery.kinds.tests.samples import PLAIN

SENDERS = ["slack webhook", "slack bot", "pagerduty", "webhook", "teams"]


def send(sender: str, base: str, policy: Any, timeout_s: float = 5) -> Receipt:
    values: dict[str, dict[str, Any]] = {
        "slack webhook": {"webhook_url": f"{base}/services/T0/B0/tokentoken"},
        "slack bot": {"bot_token": "xoxb-1-tokentoken", "channel": "#ops", "api_url": f"{base}/api"},
        "pagerduty": {"routing_key": "0123456789abcdef0123456789abcdef", "url": f"{base}/v2/enqueue"},
        "webhook": {"url": f"{base}/hook"},
        "teams": {"url": f"{base}/workflows/x?sig=signaturesignature"},
    }
    channel = CHANNELS[sender.split(maxsplit=1)[0]]
    settings = channel.Settings.model_validate(values[sender])
    return channel.send(settings, PLAIN, idempotency_key="d-1", state={}, timeout_s=timeout_s, policy=policy)


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, "refused") for status in (301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 422)),
        *((status, "retry") for status in (408, 425, 429, 500, 501, 502, 503, 504, 599)),
    ],
)
def test_a_status_decides(sender: str, status: int, outcome: str, receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(status, "why", Location=receiver.url("/elsewhere"))]
    receipt = send(sender, receiver.url(""), policy)
    assert receipt.outcome == outcome
    assert f"HTTP {status}" in receipt.answer
    assert "why" in receipt.answer
    assert len(receiver.requests) == 1, "neither a redirect nor a repetition is the sender's to make"


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("behaviour", [hang, reset, hang_up, garbage, early_hints_then_reset])
def test_no_answer_after_the_request_left_is_unknown(
    sender: str, behaviour: Behaviour, receiver: Receiver, policy: AllowAll
) -> None:
    receiver.answers = [behaviour]
    receipt = send(sender, receiver.url(""), policy, timeout_s=0.4)
    assert receipt.outcome == "unknown"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("sender", SENDERS)
def test_a_refused_connection_is_retried(sender: str, policy: AllowAll) -> None:
    receipt = send(sender, f"http://127.0.0.1:{closed_port()}", policy)
    assert receipt.outcome == "retry"
    assert "cannot be reached" in receipt.answer


@pytest.mark.parametrize("sender", SENDERS)
def test_a_name_that_is_not_found_is_retried(sender: str, policy: AllowAll) -> None:
    # A label of 64 characters is refused by the resolver itself: nothing leaves this machine.
    assert send(sender, f"http://{'x' * 64}.invalid", policy).outcome == "retry"


@pytest.mark.parametrize("sender", SENDERS)
def test_a_forbidden_address_is_refused_before_anything_is_sent(
    sender: str, receiver: Receiver, refuse: Refuse
) -> None:
    receipt = send(sender, receiver.url("").replace("127.0.0.1", "localhost"), refuse)
    assert receipt.outcome == "refused"
    assert "loopback addresses are not allowed here" in receipt.answer
    assert ("127.0.0.1", "localhost") in refuse.asked
    assert receiver.requests == []


@pytest.mark.parametrize("sender", SENDERS)
def test_without_tls_nothing_is_sent_to_an_https_address(sender: str, receiver: Receiver, policy: AllowAll) -> None:
    receipt = send(sender, receiver.url("").replace("http:", "https:"), policy)
    assert receipt.outcome == "retry", "a plain HTTP server is no TLS server: nothing was sent"
    assert receiver.requests == []


@pytest.mark.parametrize("sender", ["pagerduty", "webhook", "teams"])
def test_a_confirming_status_counts_even_if_the_body_never_ends(
    sender: str, receiver: Receiver, policy: AllowAll
) -> None:
    receiver.answers = [head_only(202)]
    assert send(sender, receiver.url(""), policy, timeout_s=0.4).outcome == "delivered"


@pytest.mark.parametrize("sender", ["slack webhook", "slack bot"])
def test_slack_must_say_ok_itself(sender: str, receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [head_only(200)]
    assert send(sender, receiver.url(""), policy, timeout_s=0.4).outcome == "unknown"


def test_an_endless_answer_is_read_only_a_little(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [flood]
    receipt = send("webhook", receiver.url(""), policy)
    assert receipt.outcome == "delivered"
    assert len(receipt.answer) < 700


@pytest.mark.parametrize("sender", SENDERS)
def test_the_receivers_wish_to_wait_is_passed_on(sender: str, receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(429, "slow down", Retry_After="30")]
    receipt = send(sender, receiver.url(""), policy)
    assert (receipt.outcome, receipt.retry_after_s) == ("retry", 30)


def test_a_proxy_from_the_environment_is_not_used(
    receiver: Receiver, policy: AllowAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert send("webhook", receiver.url(""), policy).outcome == "delivered"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("120", None, 120),
        ("0", None, 0),
        ("1.5", None, 1.5),
        ("99999999", None, RETRY_AFTER_LIMIT_S),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 30),
        ("Wed, 21 Oct 2026 07:27:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2099 07:27:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", RETRY_AFTER_LIMIT_S),
        ("Wed, 21 Oct 2026 07:28:30 GMT", None, None),
        ("-5", None, None),
        ("soon", "later", None),
        ("nan", None, None),
        ("٣", None, None),
        (None, None, None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, date) == seconds


@pytest.mark.timing
def test_a_name_server_that_does_not_answer_holds_up_no_send_longer_than_its_time(
    receiver: Receiver, policy: AllowAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = Event()

    def look_up(host: str, family: int) -> list[str]:
        if host == "hook.dead.example":
            over.wait(30)  # as getaddrinfo does
        return system_lookup(host, family)

    resolver = Resolver(look_up)
    monkeypatch.setattr("mainstay.net.resolver.shared", lambda: resolver)
    begin = time.monotonic()
    dead = send("webhook", "http://hook.dead.example", policy, timeout_s=0.5)
    assert time.monotonic() - begin < 5
    assert dead.outcome == "retry"
    assert "did not answer within" in dead.answer
    assert send("webhook", receiver.url("").replace("127.0.0.1", "localhost"), policy).outcome == "delivered"
    over.set()
