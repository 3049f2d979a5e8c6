"""The watchdog: notices that a cycle has died or hangs, so that its process can be ended and started anew.

Hanging is one call that does not come back, not much work: what stands at the same place of the same call for a minute
is stuck; what moves is only given up when its round has taken ten times as long. Time counts only while the watchdog
itself runs, so that a machine that slept or a process that was stopped finds nobody overdue when it goes on.
"""

import contextlib
import faulthandler
import logging
import os
import sys
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

log = logging.getLogger("mainstay.processes")
LOOK_EVERY_S = 1.0
PATIENCE_S = 60.0
SURE_AFTER_LOOKS = 5  # one after the other, at each of which the database answered
MOVING_PATIENCE = 10  # times as long for a round that goes on
ALIVE = "_MAINSTAY_ALIVE"  # variable of a supervised process: the descriptor through which it says that it lives
WORD, LAST_WORD = b".", b"!"
STATUS = 70  # with which a process ends that its watchdog ended (EX_SOFTWARE)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one thread does at this moment.

    Attributes:
        round: what tells this round from the next; None while it waits for its next one.
        place: where in the program it stands; the same place twice means that it did not move.
        dead: its thread has ended.
    """

    name: str
    round: Hashable = None
    place: Hashable = None
    patience_s: float = PATIENCE_S
    dead: bool = False


@dataclass(slots=True)
class _Seen:
    turn: Turn
    round_s: float = 0.0
    place_s: float = 0.0


@dataclass(slots=True)
class Watchdog:
    """Compares one look with the one before; all times are `time.monotonic()`."""

    _seen: dict[str, _Seen] = field(default_factory=dict)
    _looked_at: float | None = None

    def look(self, monotonic: float, turns: Iterable[Turn]) -> str:
        """Return what is wrong with the first that died or hangs, as a sentence; "" when all go on."""
        passed_s = 0.0 if self._looked_at is None else min(monotonic - self._looked_at, 2 * LOOK_EVERY_S)
        self._looked_at = monotonic
        wrong = ""
        for turn in turns:
            if turn.dead:
                wrong = wrong or f"{turn.name} has died"
                continue
            seen = self._seen.get(turn.name)
            if turn.round is None or seen is None or seen.turn.round != turn.round:
                self._seen[turn.name] = _Seen(turn)
                continue
            seen.round_s += passed_s
            seen.place_s = seen.place_s + passed_s if seen.turn.place == turn.place else 0.0
            seen.turn = turn
            if seen.place_s >= turn.patience_s:
                wrong = wrong or f"{turn.name} hangs: it has not moved for {seen.place_s:.0f} s"
            elif seen.round_s >= turn.patience_s * MOVING_PATIENCE:
                wrong = wrong or f"{turn.name} does not come to an end: its round has taken {seen.round_s:.0f} s"
        return wrong


def place_of(thread: int | None) -> Hashable:
    """Return where a thread stands: its innermost call and the instruction in it.

    The frame itself, not its id: while it is held, no other call can be taken for it.
    """
    frame = sys._current_frames().get(thread or 0)
    return (frame, frame.f_lasti) if frame is not None else None


def tell_supervisor(word: bytes = WORD) -> None:
    """Say that this process lives, or with `LAST_WORD` that it ends and says nothing any more.

    A call that holds the interpreter stops the watchdog, too; the supervisor then notices the silence.
    """
    with contextlib.suppress(KeyError, ValueError, OSError):  # there is none, or it stands still and has enough to read
        os.write(int(os.environ[ALIVE]), word)


def end_process(why: str) -> None:
    """End this process at once, with the stacks of all its threads in the log; the supervisor starts it anew."""
    log.critical("%s; ending this process so that it is started anew. What its threads were doing:", why)
    try:
        stream = sys.__stderr__
        if stream is not None:
            stream.flush()
            faulthandler.dump_traceback(stream, all_threads=True)
    finally:
        os._exit(STATUS)
