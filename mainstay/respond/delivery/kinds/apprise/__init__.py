"""Whatever Apprise can reach: one URL for any of some 130 services.

Apprise runs in a process of its own for each message. It is large and seldom used, so its memory is given
back; it can be stopped for certain when the time is up; what it logs, tokens included, goes nowhere; and it has
to ask before each connection, so the address policy holds for it too.

It answers yes or no. A "no" may hide a service that took the message and answered oddly, and it has no
idempotency key: a message sent again may show twice.
"""

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator

from mainstay.net.http import AddressPolicy
from mainstay.respond.delivery.kinds import wording
from mainstay.respond.delivery.kinds.apprise.schemes import NATIVE, REMOTE
from mainstay.respond.delivery.kinds.base import SHOWN_ANSWER_CHARACTERS, Channel, ChannelSettings, Outcome, Receipt
from mainstay.respond.delivery.kinds.masking import masked_line
from mainstay.respond.delivery.message import Message

BODY_LIMIT = 3500
TITLE_LIMIT = 250
URL_LIMIT = 1000

_CHILD = Path(__file__).with_name("child.py")
_LINE_LIMIT_BYTES = 100_000
_URL = re.compile(r"([a-z0-9]{1,32})://(.+)", re.IGNORECASE | re.ASCII)
_TYPES = {
    "critical": "failure", "major": "failure", "minor": "warning",
    "acknowledged": "info", "resolved": "success", "test": "info",
}  # fmt: skip


class AppriseSettings(ChannelSettings):
    """One Apprise URL."""

    url: SecretStr = Field(description="Apprise URL, for example ntfys://ntfy.example.org/topic or tgram://token/chat.")

    @field_validator("url")
    @classmethod
    def _is_remote(cls, value: SecretStr) -> SecretStr:
        """Judge the URL as Apprise will read it: without blanks around it, its scheme in whatever case."""
        text = value.get_secret_value().strip()
        if not text.isprintable():
            raise ValueError("the URL may not hold line breaks or other control characters")
        found = _URL.fullmatch(text)
        if found is None or not found[2].strip():
            raise ValueError("an Apprise URL looks like service://…: see https://appriseit.com/services/")
        if (scheme := found[1].lower()) not in REMOTE | NATIVE:
            raise ValueError(f"{scheme}:// is none of the services that can tell somebody elsewhere")
        return SecretStr(text)


class AppriseChannel(Channel[AppriseSettings]):
    """See the module."""

    name = "apprise"
    label = "Apprise"
    Settings = AppriseSettings

    def describe(self, settings: AppriseSettings) -> str:
        return f"Apprise {_schema(settings)}://"

    def send(
        self,
        settings: AppriseSettings,
        message: Message,
        *,
        idempotency_key: str,
        state: Mapping[str, str],
        timeout_s: float,
        policy: AddressPolicy,
    ) -> Receipt:
        order = {
            "url": settings.url.get_secret_value(),
            "title": wording.shorten(wording.headline(message), TITLE_LIMIT),
            "body": body(message),
            "type": _TYPES[wording.tone(message)],
        }
        deadline = time.monotonic() + timeout_s
        try:
            child = _start()
        except OSError as error:
            return Receipt("retry", f"Apprise could not be started: {error.strerror}.")
        connected = False
        try:
            for line in _conversation(child, order, deadline):
                if "check" not in line:
                    return _receipt(line, settings)
                ip, host = line["check"]
                reason = policy.check(ip, host)
                connected = connected or reason is None
                _say(child, {"reason": reason})
        except TimeoutError:
            if connected:
                return Receipt("unknown", f"Apprise did not finish within {timeout_s:g} s.")
            return Receipt("retry", f"Apprise did not start to send within {timeout_s:g} s.")
        except (OSError, ValueError):
            pass  # the pipe broke or carried something else: the process died
        finally:
            _end(child)
        outcome: Outcome = "unknown" if connected else "retry"
        return Receipt(outcome, "Apprise stopped before it said whether the message was sent.")


def body(message: Message) -> str:
    """The message as plain text: what is wrong, the facts, the links."""
    lines = [message.text.strip()] if message.text.strip() else []
    lines += [f"{name}: {wording.shorten(value, 300)}" for name, value in wording.facts(message)]
    links = wording.links(message, URL_LIMIT)
    lines += [f"{link.text}: {link.url}" for link in links[:-1]]
    if reason := wording.one_line(message.reason):
        lines.append(f"Why this message: {wording.shorten(reason, 300)}")
    # The link comes last and is never cut: a long text gives way to it.
    link = f"\n{links[-1].url}" if links else ""
    return wording.shorten("\n".join(lines), BODY_LIMIT - len(link)) + link


def _receipt(report: Mapping[str, Any], settings: AppriseSettings) -> Receipt:
    result, statuses = report.get("result"), [int(status) for status in report.get("statuses", [])]
    if result == "sent":
        return Receipt("delivered", "Apprise says it was sent.")
    if result == "invalid":
        advice = "Apprise does not understand this URL: compare it with https://appriseit.com/services/."
        return Receipt("refused", f"{advice} (It begins with {_schema(settings)}://.)")
    if forbidden := report.get("forbidden"):
        reasons = masked_line("; ".join(str(reason) for reason in forbidden), settings, SHOWN_ANSWER_CHARACTERS)
        return Receipt("refused", f"Not sent: the address policy forbids it ({reasons}).")
    if statuses:
        shown = ", ".join(f"HTTP {status}" for status in statuses)
        if all(400 <= status < 500 and status not in {408, 425, 429} for status in statuses):
            return Receipt("refused", f"{shown}: the service does not take it. Check tokens and targets in the URL.")
        return Receipt("retry", f"{shown} from the service.")
    return Receipt("retry", "Apprise says it was not sent; it does not say why.")


def _start() -> subprocess.Popen[bytes]:
    # -I: neither the working directory nor PYTHON* variables choose what is imported.
    return subprocess.Popen(
        [sys.executable, "-I", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": "/nonexistent"},
        start_new_session=True,
    )


def _conversation(
    child: subprocess.Popen[bytes], order: Mapping[str, Any], deadline: float
) -> Iterator[dict[str, Any]]:
    """Give the order and yield the child's lines until it ends; `TimeoutError` at `deadline`."""
    _say(child, order)
    assert child.stdout is not None
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0 or not selector.select(remaining_s):
                raise TimeoutError
            data = os.read(child.stdout.fileno(), 65_536)
            if not data or len(buffer) > _LINE_LIMIT_BYTES:
                return
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                yield json.loads(line)


def _say(child: subprocess.Popen[bytes], value: Mapping[str, Any]) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps(value).encode() + b"\n")
    child.stdin.flush()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Stop the child and everything it started, and reap it."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    for pipe in (child.stdin, child.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:
            pass
    child.wait()


def _schema(settings: AppriseSettings) -> str:
    return settings.url.get_secret_value().partition("://")[0].lower()
