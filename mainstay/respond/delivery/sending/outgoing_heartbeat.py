"""The outgoing heartbeat: tells another system, every 30 s, that all of Mainstay is well; it pages when that stops.

Sent only while every process is there and on time and the database takes writes, so that a dead Mainstay, a full disk
or a monitor that hangs are not silent. Any URL that takes a POST will do: Healthchecks, a second Mainstay.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from mainstay.foundation.processes import notices
from mainstay.foundation.processes.beat import health
from mainstay.foundation.processes.outage import outage
from mainstay.net.http import AddressPolicy, request
from mainstay.respond.delivery.kinds.base import USER_AGENT

log = logging.getLogger("mainstay.delivery")
EVERY = timedelta(seconds=30)
LOOK_EVERY_S = 2.0
TIMEOUT_S = 10.0
NOTICE = "outgoing-heartbeat"


@dataclass(slots=True)
class OutgoingHeartbeat:
    """Sends to `url`; `cycle` is run again and again by the worker."""

    url: str
    policy: AddressPolicy
    _sent_at: datetime | None = None
    _held_back: str = ""

    def cycle(self, now: datetime, _process: int) -> None:
        """Send when it is time and all is well.

        Raises:
            DatabaseError: the database does not answer, so nothing was sent.
        """
        if self._sent_at is not None and timedelta(0) <= now - self._sent_at < EVERY:
            return
        wrong = what_is_wrong(now)
        if wrong != self._held_back:
            held = f"held back: {wrong}" if wrong else "sent again: all is well"
            log.warning("the outgoing heartbeat is %s", held)
            self._held_back = wrong
        if wrong:
            return
        self._sent_at = now
        problem = self._send()
        if not problem:
            notices.end(NOTICE)
            return
        host = urlsplit(self.url).hostname  # the rest of the address is a secret
        notices.tell(
            NOTICE,
            "The outgoing heartbeat does not arrive.",
            f"{host}: {problem}. The service that watches Mainstay there may page. "
            "Check MAINSTAY_HEARTBEAT_URL and the receiver.",
            now,
        )

    def _send(self) -> str:
        """Send once; return why it did not arrive, or ""."""
        answer = request(
            "POST", self.url, headers={"User-Agent": USER_AGENT}, body=b"", timeout_s=TIMEOUT_S, policy=self.policy
        )
        if answer.status is None:
            return answer.problem.replace(self.url, "…") or "no answer"
        return "" if 200 <= answer.status < 300 else f"it answered HTTP {answer.status}"


def what_is_wrong(now: datetime) -> str:
    """Return why Mainstay is not well at `now`, or ""."""
    refused = outage.present(time.monotonic())
    if refused:
        return f"the database {refused}"
    return ", ".join(f"{role} is {one.status}" for role, one in health(now).items() if one.status != "ok")
