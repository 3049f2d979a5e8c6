"""Forgets what is too old, or what is too much for the disk: the oldest first."""

import logging

from mainstay.observe.metrics.store.core import Core
from mainstay.observe.metrics.store.disk.rollup import FIVE, HOUR, Rollups
from mainstay.observe.metrics.store.limits import DAY_MS

log = logging.getLogger(__name__)

_AT_ONCE = 8  # partitions that may be dropped for the disk's sake before the next round


class Retention:
    """Drops partitions. One thread at a time: `core.flushing` is held."""

    def __init__(self, core: Core, rollups: Rollups) -> None:
        self._core = core
        self._rollups = rollups
        self._forgot_ms = 0

    def keep(self, now_ms: int) -> None:
        """Drop what is older than the limits say.

        Raises:
            HistoryFailed: something could not be dropped; it will be tried again.
        """
        core, limits = self._core, self._core.limits
        now_ms = self._trusted_ms(now_ms)
        rolled = self._rollups.until.get(FIVE.name)
        for number, span in sorted(core.history.partitions.items()):
            # What no rollup has yet stays, unless rollups were never made.
            if span.last < now_ms - limits.raw_ms and (rolled is None or rolled >= span.last):
                core.history.drop(number)
        for tier, kept_ms in ((FIVE, limits.five_minutes_ms), (HOUR, limits.hour_ms)):
            for number in list(self._rollups.partitions[tier.name]):
                if (number + 1) * tier.partition_ms < now_ms - kept_ms:
                    self._rollups.drop(tier, number)
        if abs(now_ms - self._forgot_ms) >= FIVE.partition_ms:
            self._forgot_ms = now_ms
            core.history.forget_series(now_ms - max(limits.raw_ms, limits.five_minutes_ms, limits.hour_ms))

    def _trusted_ms(self, now_ms: int) -> int:
        """Return the time by which what is old is told: now, once there is history of a day by this clock.

        Before that (a clock that was just set forward, a long pause) it is the newest time from before.
        """
        begin_ms = now_ms - DAY_MS
        before = [span for span in self._core.history.partitions.values() if span.first <= begin_ms]
        newest_ms = max((min(span.last, begin_ms) for span in before), default=now_ms)
        return now_ms if newest_ms > begin_ms - DAY_MS else newest_ms

    def fit(self) -> None:
        """Drop the oldest history until the store fits its share of the disk.

        Raises:
            HistoryFailed: something could not be dropped; it will be tried again.
        """
        core = self._core
        for _ in range(_AT_ONCE):
            used = core.history.used_bytes() + core.log.size
            if used <= core.limits.disk_bytes:
                return
            what = self._drop_oldest()
            if not what:
                return
            core.counts.dropped_partitions += 1
            log.warning(
                "metrics take %d bytes of the %d allowed on disk: %s dropped", used, core.limits.disk_bytes, what
            )
            core.history.checkpoint()

    def _drop_oldest(self) -> str:
        core, rollups = self._core, self._rollups
        partitions = sorted(core.history.partitions)
        if len(partitions) > 1:
            core.history.drop(partitions[0])
            return "the oldest samples of six hours"
        for tier in (FIVE, HOUR):
            if rollups.partitions[tier.name]:
                rollups.drop(tier, rollups.partitions[tier.name][0])
                return f"the oldest rollups ({tier.name})"
        if partitions:
            core.history.drop(partitions[0])
            return "all samples that had left memory"
        return ""
