"""What rules do again and again in the worker; the monitor evaluates them."""

from collections.abc import Sequence

from mainstay.foundation.environment import Environment
from mainstay.foundation.processes.run import Cycle, Work
from mainstay.respond.rules.engine.overdue import LOOK_EVERY_S, Lookout


def worker(_environment: Environment, _works: Sequence[Work]) -> Work:
    """Notice rules that are not evaluated."""
    return Work((Cycle("rules", LOOK_EVERY_S, Lookout().cycle),))
