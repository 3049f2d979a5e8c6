"""What checks do again and again in the worker; the monitor watches them."""

from collections.abc import Sequence
from datetime import datetime

from mainstay.foundation.api.idempotency import forget
from mainstay.foundation.environment import Environment
from mainstay.foundation.processes.run import Cycle, Work
from mainstay.observe.checks.uptime.retention import roll_up, tell_distrust, trim, trusted

CLEARING_S = 600.0  # that one statement may take which clears away what is old


def worker(environment: Environment, _works: Sequence[Work]) -> Work:
    """Make hourly figures and clear away what is old."""

    def clear(now: datetime, _process: int) -> bool:
        roll_up(now)
        by = trusted(now)
        tell_distrust(now, by)
        return any([trim(by, environment.results_kept_s), forget(by)])  # both by a clock that results vouch for

    return Work((Cycle("clear", 60.0, clear, patience_s=CLEARING_S),))
