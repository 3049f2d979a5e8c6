import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mainstay.respond.delivery.kinds.apprise import AppriseChannel, AppriseSettings, body
from mainstay.respond.delivery.kinds.apprise.schemes import REMOTE
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, Refuse
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, closed_port, hang, reply
from mainstay.respond.delivery.kinds.tests.samples import HOSTILE_TEXTS, PART, PLAIN, everywhere, follow_up
from mainstay.respond.delivery.message import Event, Message

SECRET = "tokentokentoken"
MINUTE_S = 60


def send(url: str, policy: Any, message: Message = PLAIN, timeout_s: float = MINUTE_S) -> Receipt:
    settings = AppriseSettings.model_validate({"url": url})
    return AppriseChannel().send(settings, message, idempotency_key="d-1", state={}, timeout_s=timeout_s, policy=policy)


def url(receiver: Receiver) -> str:
    return f"json://desk:{SECRET}@127.0.0.1:{receiver.server_port}/{SECRET}"


def test_a_message_arrives_through_apprise(receiver: Receiver, policy: AllowAll) -> None:
    assert send(url(receiver), policy) == Receipt("delivered", "Apprise says it was sent.")
    sent = receiver.last.json
    assert sent["title"] == "Critical: shop / storefront is down"
    assert sent["type"] == "failure"
    assert PLAIN.text in sent["message"]
    assert sent["message"].endswith(PART.url)
    assert "apprise" not in sys.modules, "the library stays in the process of its own"


@pytest.mark.parametrize(
    ("status", "outcome"), [(400, "refused"), (401, "refused"), (404, "refused"), (429, "retry"), (503, "retry")]
)
def test_a_status_found_in_its_warnings_decides(
    status: int, outcome: str, receiver: Receiver, policy: AllowAll, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answers = [reply(status, f"{SECRET} is wrong")]
    receipt = send(url(receiver), policy)
    assert receipt.outcome == outcome
    assert f"HTTP {status}" in receipt.answer
    assert SECRET not in receipt.answer + caplog.text + "".join(capfd.readouterr())


def test_nobody_listens(policy: AllowAll) -> None:
    assert send(f"json://127.0.0.1:{closed_port()}", policy).outcome == "retry"


def test_the_address_policy_holds_for_apprise_too(receiver: Receiver, refuse: Refuse) -> None:
    receipt = send(url(receiver).replace("127.0.0.1", "localhost"), refuse)
    assert receipt.outcome == "refused"
    assert "loopback addresses are not allowed here" in receipt.answer
    assert ("127.0.0.1", "localhost") in refuse.asked
    assert receiver.requests == []


@pytest.mark.timing
def test_time_up_after_the_request_left_is_unknown_and_nothing_stays_behind(
    receiver: Receiver, policy: AllowAll
) -> None:
    receiver.answers = [hang]
    began = time.monotonic()
    assert send(url(receiver), policy, timeout_s=2).outcome == "unknown"
    assert time.monotonic() - began < 3.5, "Apprise itself would wait four seconds for an answer"
    assert len(receiver.requests) == 1
    assert _children() == []


@pytest.mark.timing
def test_time_up_before_a_connection_is_retried(policy: AllowAll) -> None:
    began = time.monotonic()
    receipt = send("json://127.0.0.1:9", policy, timeout_s=0.05)
    assert receipt.outcome == "retry"
    assert time.monotonic() - began < 2


def test_a_child_that_dies_is_not_a_delivery(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [lambda handler: _kill_children()]
    assert send(url(receiver), policy).outcome == "unknown"


@pytest.mark.parametrize("bad", [f"https://nosuchservice.invalid/{SECRET}", f"tgram://{SECRET}"])
def test_a_url_apprise_does_not_understand_is_refused(bad: str, policy: AllowAll) -> None:
    receipt = send(bad, policy)
    assert receipt.outcome == "refused"
    assert bad.partition("://")[0] in receipt.answer
    assert SECRET not in receipt.answer


@pytest.mark.parametrize("bad", ["", "json", "json://", "syslog://", "dbus://x", "file:///etc/passwd", "json://a\nb"])
def test_settings_that_cannot_work_are_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        AppriseSettings.model_validate({"url": bad})


LOCAL = ["syslog", "dbus", "qt", "kde", "glib", "gio", "gnome", "macosx", "windows", "blink1"]


@pytest.mark.fault("S15")
@pytest.mark.parametrize(
    "bad",
    [
        *(f"{scheme}://x" for scheme in LOCAL),
        *(f"{before}syslog://x" for before in (" ", "  ", "\t", "\n", "\u00a0", "\u2003", "\x0b", "\ufeff", "-", "+")),
        *("SYSLOG://x", "SysLog://x", "sys log://x", "syslog ://x", "file:///etc/passwd", "python://x", "exec://x"),
        *("nosuchservice://x", "json://a\nsyslog://x", "ſyslog://x", "json:// ", "://x", "json:/x"),
    ],
)
def test_only_services_elsewhere_are_taken_however_they_are_written(bad: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AppriseSettings.model_validate({"url": bad})
    assert "url" in str(refused.value)


@pytest.mark.fault("S15")
@pytest.mark.parametrize("blanks", [" {} ", "\u00a0{}", "{}\n", "\t{}"])
def test_blanks_around_a_url_are_left_out_before_it_is_judged_and_sent(
    blanks: str, receiver: Receiver, policy: AllowAll
) -> None:
    assert send(blanks.format(url(receiver).replace("json", "JSON")), policy).outcome == "delivered"


@pytest.mark.fault("S15")
@pytest.mark.parametrize("between", [", ", " ", ",", ";", "|"])
def test_a_second_url_behind_the_first_is_none(between: str, receiver: Receiver, refuse: Refuse) -> None:
    first = f"json://127.0.0.1:{closed_port()}/"
    receipt = send(f"{first}{between}{url(receiver)}", AllowAll())
    assert receipt.outcome != "delivered"
    assert receiver.requests == []


def test_every_service_of_the_library_is_on_the_list_or_known_to_be_local() -> None:
    program = "import apprise.manager_plugins as m; print(*m.NotificationManager().schemas())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # fmt: skip
    assert set(done.stdout.split()) - REMOTE == set(LOCAL)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_the_link_survives_any_text(text: str) -> None:
    shown = body(everywhere(text))
    assert len(shown) <= 3500
    assert shown.endswith(PART.url)


@pytest.mark.parametrize("event", [Event.ACKNOWLEDGE, Event.RESOLVE])
def test_what_is_over_offers_no_acknowledgement(event: Event) -> None:
    assert "Acknowledge:" in body(PLAIN)
    assert "Acknowledge:" not in body(follow_up(event))


def _children() -> list[int]:
    own = Path(f"/proc/{os.getpid()}/task")
    pids = [int(pid) for task in own.iterdir() for pid in (task / "children").read_text().split()]
    return [pid for pid in pids if b"child.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _kill_children() -> None:
    for pid in _children():
        os.kill(pid, signal.SIGKILL)
