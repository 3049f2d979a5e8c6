"""What the kernel tells of processes: CPU time, memory; and how busy the machine was with other things."""

import os
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the CPU time (user and system, all threads) that a process has used, in seconds; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def ended_children_cpu_s(pid: int) -> float:
    """Return the CPU time of the children of a process that have ended and were waited for, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process in MiB. `pss` counts shared pages in equal parts; `file` is the part that backs files."""

    rss: float
    pss: float
    file: float


def memory(pid: int) -> Memory:
    """Return the memory of a process."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) / 1024
    return Memory(found["Rss"], found["Pss"], found.get("Pss_File", 0.0))


def quantile(values: Iterable[float], q: float) -> float:
    """Return the smallest value that at least the share `q` of `values` does not exceed; NaN when there are none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[max(0, min(len(ordered) - 1, -int(-q * len(ordered) // 1) - 1))]


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def _busy_s() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    user, nice, system, _idle, _wait, irq, soft, steal = fields
    return (user + nice + system + irq + soft + steal) / _TICKS


def _own_s() -> float:
    """Return the CPU of this process and of its descendants, those that run and those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + sum(cpu_s(pid) for pid in [os.getpid(), *descendants(os.getpid())])


def descendants(pid: int) -> Sequence[int]:
    """Return the pids of all processes below `pid`."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in listing.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


class Noise:
    """How many cores other programs kept busy since this was made: what a figure has to be read with."""

    def __init__(self) -> None:
        self._at, self._busy, self._own = time.monotonic(), _busy_s(), _own_s()

    def cores(self) -> float:
        """Return the average number of cores that were busy with what this benchmark did not start."""
        wall = max(0.01, time.monotonic() - self._at)
        return max(0.0, (_busy_s() - self._busy - (_own_s() - self._own)) / wall)
