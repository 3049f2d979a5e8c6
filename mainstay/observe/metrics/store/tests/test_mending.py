"""Files deleted or replaced under a running store: noticed soon, said, written anew; nothing is lost by it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mainstay.observe.metrics.store import Store
from mainstay.observe.metrics.store.disk.mending import TOLD_MS
from mainstay.observe.metrics.store.disk.opening import FILE
from mainstay.observe.metrics.store.tests.stores import START, Found, everything

SETS = [{"__name__": "a", "i": str(number)} for number in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with samples in history and others in memory only."""
    made = Store(tmp_path / "metrics")
    put(made, 0, 40)
    made.flush()
    put(made, 40, 50)
    made.tick(at(50))
    yield made
    made.close()


def at(column: int) -> int:
    return START + column * 1000


def put(store: Store, begin: int, end: int) -> None:
    layout = store.layout(SETS, "job")
    for column in range(begin, end):
        assert store.stream("t", "job").put(at(column), layout, np.array([column, -column, 0.5])) == 3


def killed(folder: Path, tmp_path: Path) -> Found:
    """What is found after the process was killed now: the files as they are, opened by another."""
    shutil.copytree(folder, tmp_path / "after")
    store = Store(tmp_path / "after")
    try:
        return everything(store)
    finally:
        store.close()
        shutil.rmtree(tmp_path / "after")


def delete_history(folder: Path) -> None:
    (folder / FILE).unlink()


def replace_history(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / FILE).write_bytes(b"something else")


def delete_history_and_its_log(folder: Path) -> None:
    for path in folder.glob(f"{FILE}*"):
        path.unlink()


def delete_the_log(folder: Path) -> None:
    for path in folder.glob("wal-*"):
        path.unlink()


def replace_the_log(folder: Path) -> None:
    for path in folder.glob("wal-*"):
        path.unlink()
        path.write_bytes(b"")


def delete_everything(folder: Path) -> None:
    shutil.rmtree(folder)


DAMAGES = [
    delete_history,
    replace_history,
    delete_history_and_its_log,
    delete_the_log,
    replace_the_log,
    delete_everything,
]


@pytest.mark.fault("R18")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_was_deleted_is_written_anew_within_a_minute_and_all_samples_stay(
    store: Store, tmp_path: Path, damage: object
) -> None:
    folder = tmp_path / "metrics"
    before = everything(store)
    assert len(before) == 3
    assert callable(damage)
    damage(folder)
    for second in range(51, 111):
        store.tick(at(second))
    assert store.missing is not None
    assert not store.missing.error
    assert everything(store) == before
    put(store, 111, 115)
    store.tick(at(115))
    grown = everything(store)
    assert all(len(samples) == 54 for samples in grown.values())
    assert killed(folder, tmp_path) == grown
    store.flush()
    assert everything(store) == grown == killed(folder, tmp_path)


def test_a_stranger_s_file_of_that_name_is_kept_aside(store: Store, tmp_path: Path) -> None:
    replace_history(tmp_path / "metrics")
    store.tick(at(80))
    assert (tmp_path / "metrics" / f"{FILE}.broken-1").read_bytes() == b"something else"


def test_without_room_for_another_copy_it_is_said_and_tried_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete_history(tmp_path / "metrics")
    before = everything(store)
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _path: usage._replace(free=0))
        store.tick(at(80))
    assert store.missing is not None
    assert "not enough room" in store.missing.error
    assert everything(store) == before
    store.tick(at(100))
    assert store.missing is not None
    assert not store.missing.error
    assert killed(tmp_path / "metrics", tmp_path) == before


def test_it_is_told_for_an_hour(store: Store, tmp_path: Path) -> None:
    delete_history(tmp_path / "metrics")
    store.tick(at(80))
    store.tick(at(80) + TOLD_MS - 1000)
    assert store.missing is not None
    store.tick(at(100) + TOLD_MS)
    assert store.missing is None


def test_a_copy_of_history_holds_everything_while_the_store_goes_on(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / FILE
    copy.parent.mkdir()
    before = everything(store)
    store.copy_history(copy)
    put(store, 51, 60)
    other = Store(copy.parent)
    assert everything(other) == before
    other.close()
    assert all(len(samples) == 59 for samples in everything(store).values())
