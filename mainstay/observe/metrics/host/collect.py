"""All that is known of the machine, as series of `job="host"`, into a store."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mainstay.observe.metrics.exposition import Family
from mainstay.observe.metrics.host import machine
from mainstay.observe.metrics.host.machine import Collector, Pairs, Sample
from mainstay.observe.metrics.host.processes import Processes
from mainstay.observe.metrics.scrape.intake import StoreLike

log = logging.getLogger(__name__)
JOB = "host"
_NAME = "__name__"


class HostMetrics:
    """Collects and puts. Belongs to one thread; a call takes some ten milliseconds with a few hundred processes."""

    def __init__(self, store: StoreLike, instance: str = "", collectors: dict[str, Collector] | None = None) -> None:
        """`instance` is the label of all series, the machine's name if it is not given."""
        self._store = store
        self._own: Pairs = (("instance", instance or machine.host_name()), ("job", JOB))
        self._collectors = collectors if collectors is not None else usual_collectors()
        self._stream = store.stream(JOB, JOB)
        self._series: list[tuple[str, Pairs]] | None = None
        self._handle: Any = None
        self._failing: set[str] = set()

    def put(self, now: float) -> int:
        """Collect at `now` (unix seconds) and put it into the store; return the number of samples."""
        samples = list(self.collect(now))
        series = [(name, labels) for name, labels, _ in samples]
        if series != self._series:
            sets = [{_NAME: name, **dict(labels), **dict(self._own)} for name, labels in series]
            self._handle = self._store.layout(sets, JOB)
            self._store.describe(families(samples))
            self._series = series
        values = np.array([value for _, _, value in samples], np.float64)
        self._stream.put(round(now * 1000), self._handle, values)
        return len(samples)

    def collect(self, now: float) -> Iterator[Sample]:
        """Yield the samples. What fails is left out, and logged when it begins to fail."""
        for name, collector in self._collectors.items():
            try:
                yield from list(collector(now))
            except Exception:
                if name not in self._failing:
                    log.warning("the host's %s can't be told", name, exc_info=True)
                self._failing.add(name)
            else:
                self._failing.discard(name)


def usual_collectors() -> dict[str, Collector]:
    """Return what is collected, each with its name."""
    return {
        "processors": machine.cpu,
        "load": machine.load,
        "memory": machine.memory,
        "file systems": machine.FileSystems(),
        "disks": machine.disks,
        "networks": machine.networks,
        "kernel": machine.kernel,
        "processes": Processes(),
    }


def families(samples: Sequence[Sample]) -> tuple[Family, ...]:
    """Return type and help of the metrics among `samples`, for the API's metadata."""
    names = dict.fromkeys(name for name, _, _ in samples)
    return tuple(Family(name, "counter" if name.endswith("_total") else "gauge", _HELP.get(name, "")) for name in names)


_HELP = {
    "node_cpu_seconds_total": "Seconds the processors spent in each mode.",
    "node_load1": "Load average of 1 minute.",
    "node_load5": "Load average of 5 minutes.",
    "node_load15": "Load average of 15 minutes.",
    "node_memory_MemTotal_bytes": "Memory of the machine.",
    "node_memory_MemAvailable_bytes": "Memory that can be had without swapping.",
    "node_memory_MemFree_bytes": "Memory that nothing uses.",
    "node_memory_Buffers_bytes": "Memory that holds raw blocks of disks.",
    "node_memory_Cached_bytes": "Memory that holds content of files.",
    "node_memory_SwapTotal_bytes": "Swap space.",
    "node_memory_SwapFree_bytes": "Swap space that nothing uses.",
    "node_filesystem_size_bytes": "Size of the file system.",
    "node_filesystem_free_bytes": "What is free.",
    "node_filesystem_avail_bytes": "What is free for users other than root.",
    "node_filesystem_files": "File nodes.",
    "node_filesystem_files_free": "File nodes that are free.",
    "node_filesystem_readonly": "1 where nothing can be written.",
    "node_disk_reads_completed_total": "Reads completed.",
    "node_disk_writes_completed_total": "Writes completed.",
    "node_disk_read_bytes_total": "Bytes read.",
    "node_disk_written_bytes_total": "Bytes written.",
    "node_disk_read_time_seconds_total": "Seconds spent by all reads.",
    "node_disk_write_time_seconds_total": "Seconds spent by all writes.",
    "node_disk_io_time_seconds_total": "Seconds in which the disk had something to do.",
    "node_boot_time_seconds": "When the machine was started, unix time.",
    "node_time_seconds": "The machine's time, unix time.",
    "node_uname_info": "What system this is.",
    "node_filefd_allocated": "Files that are open on the whole machine.",
    "node_filefd_maximum": "Files that may be open on the whole machine.",
    "node_procs_running": "Processes that run or could run.",
    "node_procs_blocked": "Processes that wait for a disk.",
    "node_context_switches_total": "Context switches.",
    "node_forks_total": "Processes started.",
    "namedprocess_namegroup_num_procs": "Processes of this name.",
    "namedprocess_namegroup_cpu_seconds_total": "Processor time that processes of this name used.",
    "namedprocess_namegroup_memory_bytes": "Memory of the processes of this name.",
    "namedprocess_namegroup_num_threads": "Threads of the processes of this name.",
    "namedprocess_namegroup_oldest_start_time_seconds": "When the oldest process of this name was started.",
    "namedprocess_namegroup_open_filedesc": "Files that processes of this name have open.",
}
