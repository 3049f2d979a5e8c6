"""Processor, memory, file systems, disks, networks and the kernel, named as node_exporter 1.x names them on Linux.

On macOS and Windows the same names are used for the same things, so that one rule fits all; what a system does not
tell is left out. Where psutil means something else than node_exporter (its `cached` includes reclaimable slabs), the
kernel's own table is read.
"""

import os
import platform
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

LINUX = sys.platform == "linux"
FILESYSTEM_WAIT_S = 2.0
Pairs = tuple[tuple[str, str], ...]
Sample = tuple[str, Pairs, float]
Collector = Callable[[float], Iterator[Sample]]

_CPU_MODES = {
    "user": "user", "nice": "nice", "system": "system", "idle": "idle", "iowait": "iowait", "irq": "irq",
    "softirq": "softirq", "steal": "steal", "interrupt": "irq", "dpc": "softirq",
}  # fmt: skip
_MEMINFO = (
    "MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree", "Dirty", "Shmem", "Slab",
    "SReclaimable",
)  # fmt: skip
# What node_exporter leaves out unless told otherwise.
_MOUNTS_LEFT_OUT = re.compile(
    r"/(?:dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)(?:$|/)"
)
_TYPES_LEFT_OUT = frozenset(
    ["autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl",
     "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "procfs", "pstore", "rpc_pipefs", "securityfs",
     "selinuxfs", "squashfs", "sysfs", "tracefs"]
)  # fmt: skip
_DISKS_LEFT_OUT = re.compile(r"(?:ram|loop|fd|(?:h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
_MOUNTS_MOST, _DEVICES_MOST = 200, 200


def cpu(_now: float) -> Iterator[Sample]:
    """Seconds that each processor spent in each mode."""
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        for field in times._fields:
            mode = _CPU_MODES.get(field)
            if mode is not None:
                yield "node_cpu_seconds_total", (("cpu", str(number)), ("mode", mode)), getattr(times, field)


def load(_now: float) -> Iterator[Sample]:
    """Load averages. psutil makes them up on Windows; those are left out until it has some."""
    for name, value in zip(("node_load1", "node_load5", "node_load15"), psutil.getloadavg(), strict=True):
        yield name, (), value


def memory(_now: float) -> Iterator[Sample]:
    """Memory and swap in bytes."""
    if LINUX:
        table = dict(_table("meminfo"))
        for name in _MEMINFO:
            if name in table:
                yield f"node_memory_{name}_bytes", (), float(table[name].split()[0]) * 1024
        return
    found, swap = psutil.virtual_memory(), psutil.swap_memory()
    for name, value in (
        ("MemTotal", found.total), ("MemAvailable", found.available), ("MemFree", found.free),
        ("Buffers", getattr(found, "buffers", None)), ("Cached", getattr(found, "cached", None)),
        ("SwapTotal", swap.total), ("SwapFree", swap.free),
    ):  # fmt: skip
        if value is not None:
            yield f"node_memory_{name}_bytes", (), float(value)


class FileSystems:
    """Sizes of file systems, asked for beside the collector: the answer of a dead network mount may never come."""

    def __init__(self, wait_s: float = FILESYSTEM_WAIT_S) -> None:
        self._wait_s = wait_s
        self._asked: threading.Thread | None = None
        self._found: list[Sample] = []

    def __call__(self, _now: float) -> Iterator[Sample]:
        if self._asked is None:
            self._found = []
            # A daemon: an exit must not wait for what never answers.
            self._asked = threading.Thread(target=self._ask, name="host-filesystems", daemon=True)
            self._asked.start()
            self._asked.join(self._wait_s)
        if self._asked.is_alive():
            return  # waited for once, not each time
        self._asked = None
        yield from self._found

    def _ask(self) -> None:
        self._found = list(_filesystems())


def _filesystems() -> Iterator[Sample]:
    seen = set()
    for mount in psutil.disk_partitions(all=LINUX)[:_MOUNTS_MOST]:
        if mount.fstype in _TYPES_LEFT_OUT or _MOUNTS_LEFT_OUT.match(mount.mountpoint):
            continue
        if mount.mountpoint in seen:
            continue
        seen.add(mount.mountpoint)
        # psutil knows no device of the name "none", which memory and overlays often have.
        labels = (("device", mount.device or "none"), ("fstype", mount.fstype), ("mountpoint", mount.mountpoint))
        try:
            figures = _sizes(mount.mountpoint)
        except OSError:
            continue  # not mounted any more, or not for us to see
        yield "node_filesystem_readonly", labels, float("ro" in mount.opts.split(","))
        for name, value in figures:
            yield f"node_filesystem_{name}", labels, value


def _sizes(path: str) -> list[tuple[str, float]]:
    if not hasattr(os, "statvfs"):
        usage = psutil.disk_usage(path)
        return [("size_bytes", usage.total), ("free_bytes", usage.free), ("avail_bytes", usage.free)]
    status = os.statvfs(path)
    return [
        ("size_bytes", float(status.f_blocks * status.f_frsize)),
        ("free_bytes", float(status.f_bfree * status.f_frsize)),
        ("avail_bytes", float(status.f_bavail * status.f_frsize)),
        ("files", float(status.f_files)),
        ("files_free", float(status.f_ffree)),
    ]


def disks(_now: float) -> Iterator[Sample]:
    """Counters of block devices, partitions left out."""
    counters = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    for device, found in list(counters.items())[:_DEVICES_MOST]:
        if LINUX and _DISKS_LEFT_OUT.fullmatch(device):
            continue
        labels = (("device", device),)
        yield "node_disk_reads_completed_total", labels, float(found.read_count)
        yield "node_disk_writes_completed_total", labels, float(found.write_count)
        yield "node_disk_read_bytes_total", labels, float(found.read_bytes)
        yield "node_disk_written_bytes_total", labels, float(found.write_bytes)
        yield "node_disk_read_time_seconds_total", labels, found.read_time / 1000
        yield "node_disk_write_time_seconds_total", labels, found.write_time / 1000
        if hasattr(found, "busy_time"):
            yield "node_disk_io_time_seconds_total", labels, found.busy_time / 1000


def networks(_now: float) -> Iterator[Sample]:
    """Counters of network devices."""
    for device, found in list(psutil.net_io_counters(pernic=True, nowrap=False).items())[:_DEVICES_MOST]:
        labels = (("device", device),)
        for name, value in (
            ("receive_bytes", found.bytes_recv), ("transmit_bytes", found.bytes_sent),
            ("receive_packets", found.packets_recv), ("transmit_packets", found.packets_sent),
            ("receive_errs", found.errin), ("transmit_errs", found.errout),
            ("receive_drop", found.dropin), ("transmit_drop", found.dropout),
        ):  # fmt: skip
            yield f"node_network_{name}_total", labels, float(value)


def kernel(now: float) -> Iterator[Sample]:
    """Times, the system's name, open files, processes that run or wait."""
    yield "node_time_seconds", (), now
    yield "node_boot_time_seconds", (), _boot_time()
    yield "node_uname_info", _uname(), 1.0
    if not LINUX:
        return
    allocated, _, maximum = (_proc("sys/fs/file-nr") or "0 0 0").split()
    yield "node_filefd_allocated", (), float(allocated)
    yield "node_filefd_maximum", (), float(maximum)
    table = dict(_table("stat"))
    for name, key in (
        ("node_procs_running", "procs_running"), ("node_procs_blocked", "procs_blocked"),
        ("node_context_switches_total", "ctxt"), ("node_forks_total", "processes"),
    ):  # fmt: skip
        if key in table:
            yield name, (), float(table[key].split()[0])


def _boot_time() -> float:
    if LINUX:
        # psutil's is worked out from the uptime and wanders with the clock.
        told = dict(_table("stat")).get("btime")
        if told is not None:
            return float(told)
    return float(psutil.boot_time())


def _uname() -> Pairs:
    found = platform.uname()
    domain = (_proc("sys/kernel/domainname") or "(none)").strip() if LINUX else "(none)"
    return (
        ("domainname", domain), ("machine", found.machine), ("nodename", found.node),
        ("release", found.release), ("sysname", found.system), ("version", found.version),
    )  # fmt: skip


def host_name() -> str:
    """Return the name by which this machine goes, the value of `instance`."""
    return socket.gethostname() or "localhost"


def _proc(name: str) -> str | None:
    try:
        return (Path(psutil.PROCFS_PATH) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _table(name: str) -> Iterator[tuple[str, str]]:
    """Return lines of a table of the kernel as (first word without its colon, rest)."""
    for line in (_proc(name) or "").splitlines():
        key, _, rest = line.partition(" ")
        if rest.strip():
            yield key.removesuffix(":"), rest.strip()
