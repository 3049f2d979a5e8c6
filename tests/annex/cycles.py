"""What contracts do in the worker."""

from collections.abc import Sequence
from datetime import datetime

from mainstay.foundation.environment import Environment
from mainstay.foundation.processes.run import Cycle, Work
from tests.annex.actions import end_over


def worker(_environment: Environment, _works: Sequence[Work]) -> Work:
    """Notice when one is over."""

    def end(now: datetime, _process: int) -> bool:
        return end_over(now) > 0

    return Work([Cycle("contracts", 0.5, end)])
