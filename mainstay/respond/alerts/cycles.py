"""What alerts do again and again in the worker."""

from collections.abc import Sequence
from datetime import datetime

from mainstay.foundation import gaps
from mainstay.foundation.environment import Environment
from mainstay.foundation.processes import beat
from mainstay.foundation.processes.run import Cycle, Work
from mainstay.respond.alerts.actions import after_jump, consider_due, pull_in


def worker(_environment: Environment, _works: Sequence[Work]) -> Work:
    """Decide on what is due, and follow the clock when it was set."""
    follower = gaps.detector.follow()
    forward: list[gaps.Gap] = []

    def remind(now: datetime, process: int) -> bool:
        forward.extend(gap for gap in follower.new() if gap.kind is gaps.Kind.JUMPED and gap.by_s > 0)
        while forward:
            if process == min(beat.alive(now, "worker"), default=process):  # of several workers one moves them
                after_jump(forward[0].by)
            del forward[0]
        return consider_due(now) > 0

    def catch_up(now: datetime, _process: int) -> None:
        pull_in(now)

    return Work((Cycle("remind", 0.5, remind), Cycle("clock", 5.0, catch_up)))
