"""`mainstay worker`: sends pages, reminds, seals the journal, makes hourly figures, clears away what is old."""

import argparse
import logging
from datetime import datetime

from mainstay.foundation import environment as env
from mainstay.foundation import gaps
from mainstay.foundation.api.idempotency import forget
from mainstay.foundation.journal.seal import BATCH, seal_once
from mainstay.foundation.processes import beat
from mainstay.foundation.processes.run import Cycle, Runner
from mainstay.observe.checks.keep import roll_up, tell_distrust, trim, trusted
from mainstay.observe.checks.targets import Connections, policy
from mainstay.respond.alerts.actions import after_jump, consider_due, pull_in
from mainstay.respond.delivery import outbox
from mainstay.respond.delivery.send import Sender

log = logging.getLogger("mainstay.worker")


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay worker` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    environment = env.read()
    sender = Sender(Connections(policy(environment)), freed=lambda: send.wake.set())

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
        outbox.pull_in(now)
        pull_in(now)

    def seal(now: datetime, _process: int) -> bool:
        return seal_once(now) == BATCH

    def clear(now: datetime, _process: int) -> bool:
        roll_up(now)
        by = trusted(now)
        tell_distrust(now, by)
        return any([trim(by, environment.results_kept_s), forget(by)])

    send = Cycle("send", 0.1, sender.cycle)
    cycles = [
        send,
        Cycle("remind", 0.5, remind),
        Cycle("clock", 5.0, catch_up),
        Cycle("seal", 1.0, seal),
        Cycle("clear", 60.0, clear),
    ]
    runner = Runner("worker", cycles)
    runner.stop_on_signals()
    runner.start()
    runner.wait()
    sender.stop(2.0)
    runner.goodbye()
    return 0
