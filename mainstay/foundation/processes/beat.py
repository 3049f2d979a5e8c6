"""A process registers itself, beats every second, and clears away what died before it."""

import os
import signal
import socket
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db.models import QuerySet

from mainstay.foundation import gaps
from mainstay.foundation.processes.models import Process

BEAT_EVERY_S = 1.0
SILENT_AFTER = timedelta(seconds=12)  # a process that has not beaten for so long is dead
LATE_AFTER_S = 5.0
FORGET_AFTER = timedelta(days=1)


def boot_of(pid: int) -> str:
    """Return what tells this life of `pid` from another (its start in clock ticks), or "" where that is unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def register(role: str, now: datetime) -> Process:
    """Record this process, after dropping those of this host that run no more (killed ones cannot say goodbye)."""
    bury(now)
    pid = os.getpid()
    return Process.objects.create(
        role=role, host=socket.gethostname(), pid=pid, boot=boot_of(pid), started_at=now, beat_at=now
    )


def bury(now: datetime) -> None:
    """Drop the rows of processes that are dead: at once those of this host, after a silence those of others."""
    for process in Process.objects.filter(host=socket.gethostname()):
        if not _alive(process):
            process.delete()
    Process.objects.filter(beat_at__lt=now - FORGET_AFTER).delete()


def beating(now: datetime) -> QuerySet[Process]:
    """Return the processes that beat. A beat from the future is from before the clock was set back: it says nothing.

    Just after a jump or a gap nobody has beaten by the present clock yet; until all have had time to, none is dead.
    """
    silent_after = SILENT_AFTER + gaps.detector.slack(SILENT_AFTER)
    return Process.objects.filter(beat_at__gte=now - silent_after, beat_at__lte=now + silent_after)


def alive(now: datetime, role: str) -> list[int]:
    """Return the ids of the processes of `role` that beat."""
    return list(beating(now).filter(role=role).order_by("id").values_list("id", flat=True))


def _alive(process: Process) -> bool:
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not process.boot or boot_of(process.pid) == process.boot


def end_with_parent() -> None:
    """Make the kernel end this process when its supervisor dies, even by SIGKILL (Linux; elsewhere a no-op)."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """Whether the processes of one role do their work."""

    status: str  # ok, late, missing
    lag_s: float
    count: int


def health(now: datetime, roles: tuple[str, ...] = ("web", "monitor", "worker")) -> dict[str, ProcessHealth]:
    """Return the health of each role: the best of its processes counts, since the others' work goes to it."""
    rows, slack = list(beating(now)), gaps.detector.slack(SILENT_AFTER)
    found: dict[str, ProcessHealth] = {}
    for role in roles:
        mine = [row for row in rows if row.role == role]
        if not mine:
            found[role] = ProcessHealth("missing", 0.0, 0)
            continue
        lag_s = min(max(row.lag_s, (now - row.beat_at - slack).total_seconds() - BEAT_EVERY_S) for row in mine)
        found[role] = ProcessHealth("late" if lag_s > LATE_AFTER_S else "ok", round(max(lag_s, 0.0), 3), len(mine))
    return found
