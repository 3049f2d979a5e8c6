"""Files of the store that were deleted or replaced while it runs.

An open file stays readable after it was deleted, and everything written to it is gone when the process ends. So the
names are looked at at every flush; what is open is written into new files while it can still be read.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from mainstay.observe.metrics.store.core import Core
from mainstay.observe.metrics.store.disk.opening import FILE
from mainstay.observe.metrics.store.disk.recovery import Writer
from mainstay.observe.metrics.store.flushing import Flusher
from mainstay.observe.metrics.store.limits import MINUTE_MS

log = logging.getLogger(__name__)

LOOK_EVERY_MS = 10_000
TOLD_MS = 60 * MINUTE_MS  # how long what was mended is told


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that was not the one that is open.

    Attributes:
        what: its name.
        error: why it could not be mended so far; "" when it was.
        at_ms: when that was noticed, or mended.
    """

    what: str
    error: str
    at_ms: int


class Mender:
    """Looks whether the files are still there. `core.flushing` is held by whoever calls."""

    def __init__(self, core: Core, writer: Writer, flusher: Flusher) -> None:
        self._core = core
        self._writer = writer
        self._flusher = flusher
        self._looked_ms = 0
        self.missing: Missing | None = None

    def look(self, now_ms: int) -> None:
        """Notice what is not there any more, and mend it; cheap when all is well."""
        if abs(now_ms - self._looked_ms) < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        history = self._core.history
        if not history.is_there():
            self._mend(FILE, now_ms, history.rescue)
        elif not self._core.log.is_there():
            self._mend("the log of samples", now_ms, self._new_log)
        elif self.missing is not None and (self.missing.error or now_ms - self.missing.at_ms > TOLD_MS):
            self.missing = None

    def _mend(self, what: str, now_ms: int, mend: Callable[[], None]) -> None:
        try:
            mend()
        except OSError as error:
            if self.missing is None or self.missing.error != str(error):
                log.error("%s was deleted or replaced and cannot be written anew: %s", what, error)
            self.missing = Missing(what, str(error), now_ms)
        else:
            log.error("%s was deleted or replaced while it was open: written anew", what)
            self.missing = Missing(what, "", now_ms)

    def _new_log(self) -> None:
        """Begin a segment, and make what was only in the old ones safe in history."""
        with self._core.lock:
            self._writer.begin()
        self._flusher.write_all()
