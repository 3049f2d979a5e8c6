"""What the monitor and the worker tell of themselves when one wing's work has a defect."""

from collections.abc import Mapping

import pytest

from mainstay.foundation.processes.run import Ending, Work
from mainstay.role import Each, _writable, end


class Broken(Work):
    """Work that can tell nothing of itself."""

    def lag_s(self) -> float:
        raise ValueError("a defect")

    def facts(self) -> Mapping[str, object]:
        return {"rooms": {1, 2}}  # no JSON

    def stop(self) -> None:
        raise ValueError("a defect")


class Sound(Work):
    """Work that tells what it is asked."""

    def __init__(self) -> None:
        super().__init__([])
        self.done: list[str] = []

    def lag_s(self) -> float:
        return 2.5

    def facts(self) -> Mapping[str, object]:
        return {"listens": True}

    def stop(self) -> None:
        self.done.append("stopped")

    def endings(self) -> list[Ending]:
        return [("what fails", self._fail), ("counters", lambda: self.done.append("stored"))]

    def _fail(self) -> None:
        raise ValueError("a defect")


def test_what_one_wing_cannot_tell_of_itself_keeps_no_process_from_its_beat(caplog: pytest.LogCaptureFixture) -> None:
    each = Each([Broken([]), Sound()])
    for _ in range(3):
        assert each.tell("how late it is", lambda work: work.lag_s()) == [2.5]
        assert each.tell("its facts", _writable) == [{"listens": True}]
    assert [record.getMessage() for record in caplog.records] == [
        "Broken cannot tell how late it is",
        "Broken cannot tell its facts",
    ]


def test_what_one_wing_cannot_stop_or_store_keeps_no_other_from_it() -> None:
    sound = Sound()
    end([sound, Broken([])], 1)
    assert sound.done == ["stopped", "stored"]
