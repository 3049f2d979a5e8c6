"""The write-ahead log: torn, damaged, full."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mainstay.observe.metrics.store import Store, StoreLimits
from mainstay.observe.metrics.store.disk.wal import _FRAME, MAGIC, Log, Segment, records
from mainstay.observe.metrics.store.tests.stores import START, bits, everything, key, reopened

SETS = [{"__name__": "a", "i": str(number)} for number in range(3)]


def filled(folder: Path, columns: int) -> Path:
    store = Store(folder)
    layout = store.layout(SETS, "job")
    for column in range(columns):
        store.stream("t", "job").put(START + column, layout, np.array([column, -column, 0.5]))
    path = store._core.log.current.path
    store.close()
    return path


def ends(data: bytes) -> list[int]:
    """Return where each record of a segment ends."""
    at, found = len(MAGIC), []
    while at < len(data):
        at += _FRAME.size + _FRAME.unpack_from(data, at)[0]
        found.append(at)
    return found


def test_a_record_torn_at_any_byte_is_cut_off_and_the_others_stay(tmp_path: Path) -> None:
    path = filled(tmp_path / "whole", 5)
    data = path.read_bytes()
    begin, end = ends(data)[-2:]
    for size in range(begin, end):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / path.name).write_bytes(data[:size])
        store = Store(folder)
        found = everything(store)
        assert [at for at, _ in found[key(SETS[0])]] == [START + column for column in range(4)]
        store.stream("t", "job").put(START + 10, store.layout(SETS, "job"), np.ones(3))
        store = reopened(store, folder, StoreLimits())
        assert len(everything(store)[key(SETS[2])]) == 5
        store.close()
        shutil.rmtree(folder)


def test_a_segment_damaged_at_any_byte_gives_what_comes_before(tmp_path: Path) -> None:
    path = filled(tmp_path / "whole", 4)
    data = path.read_bytes()
    bounds = ends(data)
    damaged = tmp_path / "wal-0000000001"
    for at in range(len(data)):
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        got = list(records(Segment(damaged), newest=False))
        whole = sum(end <= at for end in bounds) if at >= len(MAGIC) else 0
        assert len(got) == whole


def test_a_segment_of_garbage_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "wal-0000000007").write_bytes(b"\0" * 100)
    (tmp_path / "wal-0000000008").write_bytes(b"")
    store = Store(tmp_path)
    store.stream("t", "job").put(START, store.layout(SETS, "job"), np.ones(3))
    store = reopened(store, tmp_path, StoreLimits())
    assert everything(store)[key(SETS[0])] == [(START, bits(1.0))]
    store.close()


def test_segments_go_when_history_has_them(tmp_path: Path) -> None:
    limits = StoreLimits(columns=8, kept=3, batch=4, segment_bytes=2_000)
    store = Store(tmp_path, limits)
    layout = store.layout(SETS, "job")
    for column in range(400):
        store.stream("t", "job").put(START + column * 15_000, layout, np.ones(3))
        store.tick(START + column * 15_000)
    assert len(list(tmp_path.glob("wal-*"))) <= 3
    assert store.figures().log_bytes < 8_000
    store.close()


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    layout = store.layout(SETS, "job")

    def full(self: Log, *parts: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(Log, "write", full)
        assert store.stream("t", "job").put(START, layout, np.ones(3)) == 3
        store.tick(START + 1_000)
    assert store.figures().failed_writes >= 1
    store.tick(START + 2_000)  # there is room again: a new segment begins
    assert store.stream("t", "job").put(START + 5_000, layout, np.ones(3)) == 3
    assert len(everything(store)[key(SETS[0])]) == 2
    store = reopened(store, tmp_path, StoreLimits())
    assert everything(store)[key(SETS[0])] == [(START + 5_000, bits(1.0))]
    store.close()


def test_a_segment_that_a_full_disk_refuses_is_closed_and_the_next_one_begins(tmp_path: Path) -> None:
    store = Store(tmp_path)
    layout = store.layout(SETS, "job")
    log = store._core.log
    assert log._file is not None
    log._file.close()
    log._file = Path("/dev/full").open("wb")  # noqa: SIM115  # takes everything, and refuses it when it is flushed
    assert store.stream("t", "job").put(START, layout, np.ones(3)) == 3
    for second in range(1, 4):
        store.tick(START + 1_000 * second)
    assert store.figures().failed_writes >= 1
    assert store.stream("t", "job").put(START + 5_000, layout, np.ones(3)) == 3
    store = reopened(store, tmp_path, StoreLimits())
    assert everything(store)[key(SETS[0])] == [(START + 5_000, bits(1.0))]
    store.close()
