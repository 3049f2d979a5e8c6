"""Processes by name, as process-exporter names them: how many, their processor time, memory, threads, open files.

Only the largest groups are told, and no more than `GROUPS_MOST` at a time: a machine may run thousands of names. A
group that was told stays until it has no process any more, so that its series do not come and go.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

from mainstay.observe.metrics.host.machine import Sample

GROUPS_MOST = 40
TOP = 12
_ATTRIBUTES = ["name", "cpu_times", "memory_info", "num_threads", "create_time"]


@dataclass(slots=True)
class _Group:
    processes: int = 0
    resident: float = 0.0
    virtual: float = 0.0
    threads: int = 0
    oldest: float = 0.0
    spent: float = 0.0
    members: list[psutil.Process] = field(default_factory=list)


class Processes:
    """A collector that remembers: processor time of a group only grows, also when processes of it end."""

    def __init__(self) -> None:
        self._times: dict[tuple[int, float], tuple[float, float]] = {}
        self._totals: dict[str, tuple[float, float]] = {}
        self._told: set[str] = set()

    def __call__(self, _now: float) -> Iterator[Sample]:
        groups = self._groups()
        for name in self._choose(groups):
            group = groups[name]
            labels = (("groupname", name),)
            yield "namedprocess_namegroup_num_procs", labels, float(group.processes)
            user, system = self._totals[name]
            yield "namedprocess_namegroup_cpu_seconds_total", (*labels, ("mode", "user")), user
            yield "namedprocess_namegroup_cpu_seconds_total", (*labels, ("mode", "system")), system
            yield "namedprocess_namegroup_memory_bytes", (*labels, ("memtype", "resident")), group.resident
            yield "namedprocess_namegroup_memory_bytes", (*labels, ("memtype", "virtual")), group.virtual
            yield "namedprocess_namegroup_num_threads", labels, float(group.threads)
            yield "namedprocess_namegroup_oldest_start_time_seconds", labels, group.oldest
            files = _open_files(group.members)
            if files is not None:
                yield "namedprocess_namegroup_open_filedesc", labels, float(files)

    def _groups(self) -> dict[str, _Group]:
        groups: dict[str, _Group] = defaultdict(_Group)
        times: dict[tuple[int, float], tuple[float, float]] = {}
        for process in psutil.process_iter(_ATTRIBUTES):
            info = process.info
            name, spent, used = info["name"], info["cpu_times"], info["memory_info"]
            if not name or spent is None or used is None:
                continue  # it has ended, or is not for us to see
            if not used.vms:
                name = name.partition("/")[0]  # kworker/0:1 and hundreds like it: threads of the kernel
            identity = (process.pid, info["create_time"] or 0.0)
            times[identity] = (spent.user, spent.system)
            before = self._times.get(identity, (0.0, 0.0))
            group = groups[name]
            user, system = self._totals.get(name, (0.0, 0.0))
            more = max(0.0, spent.user - before[0]), max(0.0, spent.system - before[1])
            self._totals[name] = user + more[0], system + more[1]
            group.processes += 1
            group.spent += more[0] + more[1]
            group.resident += used.rss
            group.virtual += used.vms
            group.threads += info["num_threads"] or 0
            group.oldest = min(group.oldest or identity[1], identity[1])
            group.members.append(process)
        self._times = times
        for name in self._totals.keys() - groups.keys():
            del self._totals[name]
        return groups

    def _choose(self, groups: dict[str, _Group]) -> list[str]:
        by_memory = sorted(groups, key=lambda name: -groups[name].resident)[:TOP]
        by_time = sorted(groups, key=lambda name: -groups[name].spent)[:TOP]
        by_memory = [name for name in by_memory if groups[name].resident]
        by_time = [name for name in by_time if groups[name].spent]
        staying = [name for name in self._told if name in groups]
        # The largest of now first; of those that only stay, the largest.
        staying.sort(key=lambda name: -groups[name].resident)
        chosen = list(dict.fromkeys([*by_memory, *by_time, *staying]))[:GROUPS_MOST]
        self._told = set(chosen)
        return sorted(chosen)


def _open_files(members: list[psutil.Process]) -> int | None:
    """Return how many files the processes have open, None if no one tells us."""
    total, told = 0, False
    for process in members:
        try:
            total += getattr(process, "num_fds" if psutil.POSIX else "num_handles")()
        except (psutil.Error, OSError):
            continue
        told = True
    return total if told else None
