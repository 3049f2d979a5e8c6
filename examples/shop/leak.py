"""The fault `leak`: memory that is taken and never given back until the process ends."""

import threading
import time

MB_BYTES = 1_000_000
LEAK_LIMIT_BYTES = 1_000 * MB_BYTES
_STEP_S = 0.25


class Leak:
    """Keeps `rate` megabytes more each minute, up to LEAK_LIMIT_BYTES, so that a forgotten demo spares the host.

    Setting the rate to zero stops the growth; as with a real leak, only a restart gives the memory back.
    """

    def __init__(self) -> None:
        self.kept_bytes = 0
        self._kept: list[bytes] = []
        self._rate_mb_per_minute = 0.0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def set_rate(self, mb_per_minute: float) -> None:
        with self._changed:
            self._rate_mb_per_minute = mb_per_minute
            if mb_per_minute > 0 and self._thread is None:
                self._thread = threading.Thread(target=self._grow, name="leak", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _grow(self) -> None:
        last = time.monotonic()
        with self._changed:
            while True:
                if self._rate_mb_per_minute == 0:
                    self._changed.wait()
                    last = time.monotonic()
                self._changed.wait(_STEP_S)
                now = time.monotonic()
                size = int(self._rate_mb_per_minute * MB_BYTES / 60 * (now - last))
                last = now
                size = min(size, LEAK_LIMIT_BYTES - self.kept_bytes)
                if size > 0:
                    # Bytes other than zero: pages that are never written to would not become resident.
                    self._kept.append(b"\x5a" * size)
                    self.kept_bytes += size
