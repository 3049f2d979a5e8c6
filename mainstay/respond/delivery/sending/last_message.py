"""The last message: when the database takes no writes, no page can be recorded, and so none is sent. This one is.

The worker keeps the channels in memory beforehand. When the database has refused for a minute, each channel gets one
message straight from here, past the outbox, and one more when it is over.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from mainstay.foundation.processes.outage import Outage
from mainstay.foundation.secrets import LostKey, unseal_all
from mainstay.net.http import AddressPolicy
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.message import ALERT, AlertPart, Event, Message
from mainstay.respond.delivery.models import Channel

log = logging.getLogger("mainstay.delivery")
AFTER_S = 60.0
NOT_AGAIN_FOR = timedelta(minutes=10)
REMEMBER_EVERY_S = 30.0
CHANNELS_MOST = 50
AT_ONCE = 8
TIMEOUT_S = 10.0
TRIES, TRY_AGAIN_S = 3, 10.0
TITLE = "Mainstay cannot record, and so cannot page"


@dataclass(slots=True)
class _Known:
    name: str
    kind: str
    settings: Any
    state: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class LastMessage:
    """Knows the channels, and tells each of them once when it begins and once when it is over."""

    policy: AddressPolicy
    outage: Outage
    key: str
    url: str
    instance: str
    _known: dict[int, _Known] = field(default_factory=dict)
    _told: Message | None = None
    _told_at: datetime | None = None
    _thread: threading.Thread | None = None

    def remember(self, _now: datetime, _process: int) -> None:
        """Read the channels; what cannot be used is left out.

        Raises:
            DatabaseError: the database does not answer; those known before are kept.
        """
        found: dict[int, _Known] = {}
        for channel in Channel.objects.filter(paused=False).order_by("id")[:CHANNELS_MOST]:
            kind = CHANNELS.get(channel.kind)
            if kind is None:
                continue
            try:
                settings = kind.Settings.model_validate(unseal_all(channel.config, self.key))
            except (ValidationError, LostKey):
                continue
            before = self._known.get(channel.pk)
            found[channel.pk] = _Known(channel.name, channel.kind, settings, before.state if before else {})
        self._known = found

    def cycle(self, now: datetime, _process: int) -> None:
        """Tell what is to be told, from a thread of its own. Never asks the database."""
        if self._thread is not None and self._thread.is_alive():
            return
        message = self._next(now, time.monotonic())
        if message is not None:
            self._thread = threading.Thread(target=self._tell, args=(message,), name="last message", daemon=True)
            self._thread.start()

    def _next(self, now: datetime, monotonic: float) -> Message | None:
        wrong = self.outage.present(monotonic)
        if self._told is not None:
            if wrong:
                return None
            over, self._told = self._told, None
            text = "The database takes writes again. What was due meanwhile is judged and sent now."
            return replace(over.of_alert(event=Event.RESOLVE, ends_at=now), text=text)
        recently = self._told_at is not None and timedelta(0) <= now - self._told_at < NOT_AGAIN_FOR
        lasted_s = self.outage.lasted_s(monotonic)
        if not wrong or recently or lasted_s < AFTER_S:
            return None
        begun = now - timedelta(seconds=lasted_s)
        self._told_at = now
        self._told = Message(
            kind=ALERT,
            title=TITLE,
            text=f"The database {wrong}, since {begun:%H:%M} UTC. Checks may fail without a page until that is mended.",
            urgency="critical",
            thread=f"mainstay-{self.instance}-cannot-record-{begun:%Y%m%dT%H%M%S}",
            at=begun,
            alert=AlertPart(
                event=Event.TRIGGER,
                application="",
                environment="",
                labels={"alertname": "MainstayCannotRecord"},
                annotations={},
                url=self.url,
            ),
        )
        return self._told

    def _tell(self, message: Message) -> None:
        log.critical("%s: %s", message.title, message.text)
        waiting = list(self._known.values())
        for attempt in range(TRIES):
            if attempt:
                time.sleep(TRY_AGAIN_S)
            failed: list[_Known] = []
            for begin in range(0, len(waiting), AT_ONCE):
                part = waiting[begin : begin + AT_ONCE]
                threads = [
                    threading.Thread(target=self._send, args=(one, message, failed), daemon=True) for one in part
                ]
                for thread in threads:
                    thread.daemon = True
                    thread.start()
                for thread in threads:
                    thread.join(2 * TIMEOUT_S)
            waiting = failed
            if not waiting:
                return
        log.error("not told: %s", ", ".join(known.name for known in waiting))

    def _send(self, known: _Known, message: Message, failed: list[_Known]) -> None:
        try:
            receipt = CHANNELS[known.kind].send(
                known.settings,
                message,
                idempotency_key=f"{message.thread}-{message.event}",
                state=known.state,
                timeout_s=TIMEOUT_S,
                policy=self.policy,
            )
        except Exception:
            log.exception("the last message to %s failed", known.name)
            failed.append(known)
            return
        known.state = receipt.state or known.state
        if receipt.outcome in {"retry", "unknown"}:
            failed.append(known)
        elif receipt.outcome == "refused":
            log.error("the last message to %s was refused: %s", known.name, receipt.answer)
