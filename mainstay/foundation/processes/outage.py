"""The database refuses: said once when it begins, once a minute while it lasts and once when it is over, per process.

Whoever is refused reports here instead of logging; `/healthz` and the last message of the worker read `present()`.
"""

import logging
import math
import threading
from dataclasses import dataclass, field

from django.db import DatabaseError, DataError, IntegrityError, NotSupportedError, ProgrammingError

log = logging.getLogger("mainstay.processes")
AGAIN_EVERY_S = 60.0
FORGOTTEN_AFTER_S = 60.0  # who was refused once and has not asked again since is not waited for
SLOW_AFTER_S = 5.0  # a write under way for so long does not count as answered
LINE_MOST = 200

_SQLITE = {
    "disk is full": "cannot be written: disk full",
    "readonly database": "cannot be written: it is read-only",
    "database is locked": "cannot be written: another program has locked it",
    "unable to open": "cannot be opened",
    "malformed": "is damaged",
    "not a database": "is damaged",
    "disk i/o error": "cannot be written: the disk reports an error",
}
_POSTGRESQL = {
    "53100": "cannot be written: disk full",
    "25006": "cannot be written: it is read-only",
    "55P03": "cannot be written: another program has locked it",
    "57014": "cannot be written: it did not answer in time",
    "53300": "takes no more connections",
    "57P03": "is starting or stopping",
    "57P01": "is starting or stopping",
}
DAMAGED = "is damaged"


def is_refusal(error: BaseException) -> bool:
    """Tell whether the database refuses whatever is asked, rather than this one statement (a defect of ours)."""
    defects = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
    return isinstance(error, DatabaseError) and not isinstance(error, defects)


def words(error: BaseException) -> str:
    """Return what is wrong with the database, to follow "the database "."""
    state = getattr(error.__cause__, "sqlstate", None)
    if state in _POSTGRESQL:
        return _POSTGRESQL[state]
    text = " ".join(str(error).split())
    for part, meaning in _SQLITE.items():
        if part in text.lower():
            return meaning
    if type(error.__cause__).__module__.startswith("psycopg"):
        return f"does not answer ({text[:LINE_MOST]})"
    return f"refuses: {text[:LINE_MOST]}"


@dataclass(slots=True)
class Outage:
    """Whether this process is refused. All times are `time.monotonic()`; thread-safe."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _refused: dict[str, tuple[float, float]] = field(default_factory=dict)  # who → when first, when last
    _words: str = ""
    _since: float = 0.0
    _said_at: float = -math.inf
    _times: int = 0
    _writing_since: float | None = None

    def refused(self, who: str, error: BaseException, monotonic: float, asked_at: float = math.inf) -> None:
        """Take note that `who` was refused; it will try again until it is answered.

        Args:
            asked_at: when it began to ask, where that is known: a locked database refuses only after a while.
        """
        with self._lock:
            if not self._refused:
                self._since, self._times, self._said_at = monotonic, 0, -math.inf
            self._since = min(self._since, asked_at)
            first, _ = self._refused.get(who, (monotonic, monotonic))
            self._refused[who] = first, monotonic
            self._words = words(error)
            self._say(who, self._words, monotonic)

    def one_off(self, who: str, error: BaseException, monotonic: float) -> None:
        """Take note that `who` was refused, which does not try again by itself: a request."""
        with self._lock:
            self._say(who, words(error), monotonic)

    def _say(self, who: str, what: str, monotonic: float) -> None:
        self._times += 1
        if monotonic - self._said_at < AGAIN_EVERY_S:
            return
        again = f", for {monotonic - self._since:.0f} s, {self._times} refusals" if self._times > 1 else ""
        log.error("%s: the database %s%s", who, what, again)
        self._said_at = monotonic

    def answered(self, who: str, monotonic: float) -> None:
        """Take note that `who` was answered; cheap, for it is called after every round."""
        if not self._refused:
            return
        with self._lock:
            if not self._refused:
                return
            self._refused.pop(who, None)
            for other, (_, last) in list(self._refused.items()):
                if monotonic - last > FORGOTTEN_AFTER_S:
                    del self._refused[other]
            if not self._refused:
                lasted_s = monotonic - self._since
                log.warning("the database answers again, after %.0f s and %d refusals", lasted_s, self._times)
                self._times = 0

    def writing(self, monotonic: float | None) -> None:
        """Take note that the beat's write has begun, or with None that it has ended."""
        self._writing_since = monotonic

    def present(self, monotonic: float) -> str:
        """Return what is wrong with the database, to follow "the database "; "" when it answers.

        That is, the beat cannot be written, or somebody was refused again and again for some seconds.
        """
        with self._lock:
            if any(who == "beat" or last - first >= SLOW_AFTER_S for who, (first, last) in self._refused.items()):
                return self._words
        since = self._writing_since
        if since is not None and monotonic - since > SLOW_AFTER_S:
            return f"does not answer: a write has waited for {monotonic - since:.0f} s"
        return ""

    def lasted_s(self, monotonic: float) -> float:
        """Return for how long it has refused; 0 while it answers."""
        with self._lock:
            return monotonic - self._since if self._refused else 0.0


outage = Outage()
"""That of this process."""
