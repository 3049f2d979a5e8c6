"""Lanes: how many sends run at once, in all and to one channel.

A channel begins with two lanes. It gets more, one by one, while its receiver is slow and well, so that what waits for
it is sent in time; a failure takes all but one away. What is sent, but not recorded when the process is killed, is sent
twice: the number of lanes is also the bound of that.
"""

import threading
from collections import Counter

from mainstay.respond.delivery.kinds.base import Receipt

LANES = 32  # in all …
LANES_PER_CHANNEL = 2  # … to one channel at first …
LANES_PER_SLOW_CHANNEL = 8  # … and at most, while it is slow and well
KEPT_FREE = 16  # of all lanes: more than its first two no channel gets out of these
SLOW_S = 0.5


class Lanes:
    """Counts sends under way (and not yet recorded) by channel; used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: Counter[int] = Counter()
        self._allowed: dict[int, int] = {}
        self._channel_of: dict[int, int] = {}

    def take(self, delivery: int, channel: int) -> bool:
        """Take a lane; False when there is none, or an attempt of this very delivery is not recorded yet."""
        with self._lock:
            if delivery in self._channel_of or not self._room(channel):
                return False
            self._busy[channel] += 1
            self._channel_of[delivery] = channel
            return True

    def free(self, delivery: int) -> None:
        """Give back the lane of a delivery."""
        with self._lock:
            channel = self._channel_of.pop(delivery, None)
            if channel is not None:
                self._busy[channel] -= 1

    def learn(self, delivery: int, receipt: Receipt, duration_s: float) -> None:
        """Let the channel have more or fewer lanes, by what became of a send."""
        with self._lock:
            channel = self._channel_of.get(delivery)
            if channel is None:
                return
            allowed = self._allowed.get(channel, LANES_PER_CHANNEL)
            if receipt.outcome != "delivered":
                self._allowed[channel] = 1
            elif duration_s >= SLOW_S:
                self._allowed[channel] = min(allowed + 1, LANES_PER_SLOW_CHANNEL)
            else:
                self._allowed[channel] = max(allowed - 1, LANES_PER_CHANNEL)

    def rooms(self, channel: int) -> int:
        """Return how many more sends to `channel` may begin now."""
        with self._lock:
            return max(0, self._allowed.get(channel, LANES_PER_CHANNEL) - self._busy[channel])

    def held(self) -> list[int]:
        """Return the deliveries that are under way."""
        with self._lock:
            return list(self._channel_of)

    @property
    def busy(self) -> int:
        """How many sends are under way."""
        with self._lock:
            return len(self._channel_of)

    def _room(self, channel: int) -> bool:
        mine, all_busy = self._busy[channel], len(self._channel_of)
        most = LANES if mine < LANES_PER_CHANNEL else LANES - KEPT_FREE
        return all_busy < most and mine < self._allowed.get(channel, LANES_PER_CHANNEL)
