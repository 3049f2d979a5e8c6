"""What configuration files do again and again in the worker."""

from collections.abc import Sequence
from datetime import datetime

from mainstay.config.models import Applying, cut_off
from mainstay.foundation.environment import Environment
from mainstay.foundation.processes.run import Cycle, Work


def worker(_environment: Environment, _works: Sequence[Work]) -> Work:
    """Finish a file whose applying was cut off."""

    def finish(now: datetime, _process: int) -> bool:
        if not Applying.objects.filter(cut_off(now)).exists():
            return False
        from mainstay.config.apply import finish_cut_off  # with its YAML reader, only when there is something to read

        return finish_cut_off(now)

    return Work((Cycle("finish", 10.0, finish),))
