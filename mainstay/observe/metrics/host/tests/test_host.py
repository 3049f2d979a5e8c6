"""The machine's own metrics: beside the real node_exporter, and with what goes wrong on machines."""

import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mainstay.observe.metrics.exposition import Parser
from mainstay.observe.metrics.host import machine
from mainstay.observe.metrics.host.collect import HostMetrics, families, usual_collectors
from mainstay.observe.metrics.host.machine import FileSystems, Sample
from mainstay.observe.metrics.host.processes import GROUPS_MOST, Processes

EXPORTER = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
Key = tuple[str, tuple[tuple[str, str], ...]]


class RecordingStore:
    """Takes what is put and remembers it."""

    def __init__(self) -> None:
        self.puts: list[tuple[int, list[dict[str, str]], list[float]]] = []
        self.layouts = 0

    def layout(self, label_sets: Any, job: str) -> Any:
        self.layouts += 1
        return list(label_sets)

    def stream(self, key: str, job: str) -> Any:
        return self

    def put(self, at_ms: int, layout: Any, values: Any) -> int:
        self.puts.append((at_ms, layout, values.tolist()))
        return len(values)

    def describe(self, families: Any) -> None:
        self.described = {family.name for family in families}

    def end(self, at_ms: int) -> None:
        raise AssertionError("the machine does not end")

    def put_own_times(self, layout: Any, values: Any, times: Any, positions: Any) -> int:
        raise AssertionError("the machine gives no timestamps")


@pytest.fixture
def exporter() -> Iterator[str]:
    """The address of a real node_exporter that was just started."""
    if EXPORTER is None:
        pytest.skip("no prometheus-node-exporter is installed: apt-get install prometheus-node-exporter")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            EXPORTER,
            f"--web.listen-address=127.0.0.1:{port}",
            # Upstream's defaults; Debian's build leaves more out.
            "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)",
            "--collector.netdev.device-exclude=^$",
            "--collector.diskstats.device-exclude=^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        process.terminate()
        process.wait(5)


def theirs(url: str) -> dict[Key, float]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        found = Parser().parse(answer.read())
    out: dict[Key, float] = {}
    for labels, value in zip(found.layout.label_sets(), found.values.tolist(), strict=True):
        name = labels.pop("__name__")
        out[name, tuple(sorted(labels.items()))] = value
    return out


def ours() -> dict[Key, float]:
    collectors = usual_collectors()
    del collectors["processes"]
    now = time.time()
    return {
        (name, tuple(sorted((k, v) for k, v in labels if v))): value
        for collector in collectors.values()
        for name, labels, value in collector(now)
    }


@pytest.mark.skipif(sys.platform != "linux", reason="node_exporter has these names on Linux")
def test_names_labels_and_values_are_those_of_node_exporter(exporter: str) -> None:
    theirs(exporter)  # its first scrape is slow
    before, mine, after = _while_nothing_is_mounted(exporter)
    mine = {key: value for key, value in mine.items() if not _seen_only_by_us(dict(key[1]))}
    unknown = sorted(str(key) for key in mine if key not in after and key not in before)
    assert not unknown, f"node_exporter has no such series: {unknown}"
    covered = {name for name, _ in mine}
    assert {
        "node_cpu_seconds_total", "node_load1", "node_load5", "node_load15", "node_memory_MemTotal_bytes",
        "node_memory_MemAvailable_bytes", "node_memory_MemFree_bytes", "node_memory_Buffers_bytes",
        "node_memory_Cached_bytes", "node_memory_SwapTotal_bytes", "node_memory_SwapFree_bytes",
        "node_network_receive_bytes_total", "node_network_transmit_drop_total", "node_boot_time_seconds",
        "node_time_seconds", "node_uname_info", "node_filefd_allocated", "node_filefd_maximum",
        "node_procs_running", "node_procs_blocked",
    } <= covered  # fmt: skip
    for name in covered:
        wanted = {key for key in before if key[0] == name}
        missing = sorted(str(key) for key in wanted - mine.keys())
        assert not missing, f"node_exporter has these, and we do not: {missing}"
    wrong = []
    for key, value in mine.items():
        low, high = sorted((before[key], after[key]))
        slack = _slack(key[0], high)
        if not low - slack <= value <= high + slack:
            wrong.append(f"{key}: {value}, and node_exporter says {low} to {high}")
    assert not wrong, "\n".join(wrong)


def _while_nothing_is_mounted(exporter: str) -> tuple[dict[Key, float], dict[Key, float], dict[Key, float]]:
    """Their figures, ours, and theirs again; anew while other programs mount and unmount beside us."""
    mounts = Path("/proc/self/mounts")
    while True:
        before = mounts.read_text()
        figures = theirs(exporter), ours(), theirs(exporter)
        if mounts.read_text() == before:
            return figures


def _seen_only_by_us(labels: dict[str, str]) -> bool:
    """node_exporter reads the mounts of the first process, we read our own."""
    mounts = {line.split()[1] for line in Path("/proc/1/mounts").read_text().splitlines()}
    return "mountpoint" in labels and labels["mountpoint"] not in mounts


def _slack(name: str, value: float) -> float:
    if name.startswith(("node_memory_", "node_filesystem_", "node_filefd_allocated")):
        return 0.05 * abs(value) + 50e6
    if name.startswith(("node_load", "node_procs_")):
        return 3.0
    if name == "node_boot_time_seconds":
        return 2.0
    # node_exporter counts drops of two kinds as one on some kernels; counters grow while they are read.
    return 0.02 * abs(value) + 2.0


def test_all_series_go_into_the_store_as_job_host_with_the_machines_name() -> None:
    store = RecordingStore()
    count = HostMetrics(store).put(1_700_000_000.0004)
    at_ms, label_sets, values = store.puts[0]
    assert at_ms == 1_700_000_000_000
    assert count == len(label_sets) == len(values) > 30
    assert {labels["job"] for labels in label_sets} == {"host"}
    assert {labels["instance"] for labels in label_sets} == {machine.host_name()}
    assert len({tuple(sorted(labels.items())) for labels in label_sets}) == count


def test_the_layout_is_made_again_only_when_series_come_or_go() -> None:
    store = RecordingStore()
    extra: list[Sample] = []

    def collector(_now: float) -> Iterator[Sample]:
        yield "node_load1", (), 1.0
        yield from extra

    host = HostMetrics(store, "here", {"all": collector})
    for second in range(3):
        host.put(float(second))
    assert store.layouts == 1
    extra.append(("node_load5", (), 2.0))
    host.put(4.0)
    assert store.layouts == 2


def test_what_cannot_be_told_is_left_out_and_the_rest_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def denied(_now: float) -> Iterator[Sample]:
        yield "node_half_told", (), 1.0
        raise psutil.AccessDenied

    host = HostMetrics(RecordingStore(), "here", {"disks": denied, "load": lambda now: iter([("node_load1", (), 1.0)])})
    assert [name for name, _, _ in host.collect(0.0)] == ["node_load1"]
    assert [name for name, _, _ in host.collect(1.0)] == ["node_load1"]
    assert len([record for record in caplog.records if "disks" in record.message]) == 1


@pytest.mark.timing
def test_a_file_system_that_never_answers_does_not_hold_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hanging() -> Iterator[Sample]:
        release.wait(5)
        yield "node_filesystem_size_bytes", (), 1.0

    monkeypatch.setattr(machine, "_filesystems", hanging)
    filesystems = FileSystems(wait_s=0.05)
    began = time.monotonic()
    assert list(filesystems(0.0)) == []
    assert list(filesystems(1.0)) == [], "the same question is still open, and no second one is asked"
    assert time.monotonic() - began < 1
    release.set()
    assert filesystems._asked is not None
    filesystems._asked.join(2)
    assert [name for name, _, _ in filesystems(2.0)] == ["node_filesystem_size_bytes"]


def test_a_counter_of_processor_time_never_falls_when_processes_end() -> None:
    collector = Processes()
    child = subprocess.Popen([sys.executable, "-c", "x = sum(range(10**7)); input()"], stdin=subprocess.PIPE)
    try:
        name = psutil.Process(child.pid).name()
        for _ in range(100):
            if sum(psutil.Process(child.pid).cpu_times()[:2]) > 0.05:
                break
            time.sleep(0.05)
        alive = _cpu(collector, name)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(10)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert _cpu(collector, name) >= alive
    finally:
        assert other.stdin is not None
        other.stdin.close()
        other.wait(10)


def _cpu(collector: Processes, name: str) -> float:
    found = [
        value
        for metric, labels, value in collector(0.0)
        if metric == "namedprocess_namegroup_cpu_seconds_total" and ("groupname", name) in labels
    ]
    return sum(found)


def test_however_many_names_processes_have_the_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def __init__(self, pid: int, round_: int) -> None:
            self.pid = pid
            self.info = {
                "name": f"job-{round_}-{pid}",
                "cpu_times": _Times(float(pid), 0.0),
                "memory_info": _Memory(pid * 1000, pid * 2000),
                "num_threads": 1,
                "create_time": 1.0 + round_,
            }

        def num_fds(self) -> int:
            raise psutil.AccessDenied

    collector = Processes()
    for round_ in range(5):
        monkeypatch.setattr(psutil, "process_iter", lambda _, r=round_: iter([Fake(pid, r) for pid in range(1, 3000)]))
        told = {dict(labels)["groupname"] for _, labels, _ in collector(0.0)}
        assert 0 < len(told) <= GROUPS_MOST
    assert len(collector._totals) < 3000, "groups without a process are forgotten"


class _Times:
    def __init__(self, user: float, system: float) -> None:
        self.user, self.system = user, system


class _Memory:
    def __init__(self, rss: int, vms: int) -> None:
        self.rss, self.vms = rss, vms


def test_every_metric_has_a_type_and_a_help() -> None:
    samples = [sample for collector in usual_collectors().values() for sample in collector(0.0)]
    for family in families(samples):
        if family.name.startswith(("node_memory_", "node_network_")):
            continue
        assert family.help, family.name
        assert family.type == ("counter" if family.name.endswith("_total") else "gauge")


def test_a_file_system_without_a_device_keeps_the_name_that_the_kernel_gives_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """psutil turns the device "none" into nothing; node_exporter has it."""
    mount = psutil._ntuples.sdiskpart("", str(tmp_path), "tmpfs", "rw")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [mount])
    samples = list(FileSystems()(0.0))
    assert samples
    assert {dict(labels)["device"] for _, labels, _ in samples} == {"none"}
