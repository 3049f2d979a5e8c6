"""What the journal does again and again in the worker."""

from collections.abc import Sequence
from datetime import datetime

from mainstay.foundation.environment import Environment
from mainstay.foundation.journal import heads
from mainstay.foundation.journal.seal import BATCH, seal_once
from mainstay.foundation.processes.run import Cycle, Work


def worker(environment: Environment, _works: Sequence[Work]) -> Work:
    """Seal what was written."""

    def seal(now: datetime, _process: int) -> bool:
        sealed = seal_once(now)
        if sealed:
            heads.note(environment.home / heads.NAME)
        return sealed == BATCH

    return Work((Cycle("seal", 1.0, seal),))
