"""Free disk: told before it is full."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from mainstay.foundation.processes import disk, notices


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(autouse=True)
def _over() -> Iterator[None]:
    yield
    notices.end(disk.NOTICE)


@pytest.mark.fault("R13")
@pytest.mark.parametrize(("free", "grave"), [(2_000_000_000, None), (900_000_000, False), (100_000_000, True)])
def test_under_a_gigabyte_is_told_and_nearly_nothing_is_grave(
    free: int, grave: bool | None, tmp_path: Path, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, free if path == tmp_path else 10**12))
    disk.look([Path("/"), tmp_path / "not there yet"], noon)
    assert [notice["grave"] for notice in notices.told()] == ([] if grave is None else [grave])


def test_it_is_over_when_there_is_room_again(tmp_path: Path, noon: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as scarce:
        scarce.setattr(shutil, "disk_usage", lambda _path: Usage(1, 1, 500_000_000))
        disk.look([tmp_path], noon)
        assert "500 MB are free" in str(notices.told()[0]["detail"])
        scarce.setattr(shutil, "disk_usage", lambda _path: Usage(1, 1, 5_000_000_000))
        disk.look([tmp_path], noon)
    assert notices.told() == []
