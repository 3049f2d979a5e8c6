"""`mainstay worker`: sends pages, reminds, seals the journal, makes hourly figures, clears away what is old."""

import argparse
import logging
from datetime import datetime

from mainstay.config.models import Applying
from mainstay.foundation import environment as env
from mainstay.foundation.api.idempotency import forget
from mainstay.foundation.journal import heads
from mainstay.foundation.journal.seal import BATCH, seal_once
from mainstay.foundation.processes.run import Cycle, Runner
from mainstay.observe.checks.keep import roll_up, trim
from mainstay.observe.checks.targets import Connections, policy
from mainstay.respond.alerts.actions import consider_due
from mainstay.respond.delivery.send import Sender

log = logging.getLogger("mainstay.worker")


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay worker` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    environment = env.read()
    sender = Sender(Connections(policy(environment)), freed=lambda: send.wake.set())

    def remind(now: datetime, _process: int) -> bool:
        return consider_due(now) > 0

    def seal(now: datetime, _process: int) -> bool:
        sealed = seal_once(now)
        if sealed:
            heads.note(environment.home / heads.NAME)
        return sealed == BATCH

    def clear(now: datetime, _process: int) -> bool:
        roll_up(now)
        return any([trim(now, environment.results_kept_s), forget(now)])

    def finish(now: datetime, _process: int) -> bool:
        if not Applying.objects.filter(is_open=True, claimed_until__lte=now).exists():
            return False
        from mainstay.config.apply import finish_cut_off  # with its YAML reader, only when there is something to read

        return finish_cut_off(now)

    send = Cycle("send", 0.1, sender.cycle)
    cycles = [
        send,
        Cycle("remind", 0.5, remind),
        Cycle("seal", 1.0, seal),
        Cycle("clear", 60.0, clear),
        Cycle("finish", 10.0, finish),
    ]
    runner = Runner("worker", cycles)
    runner.stop_on_signals()
    runner.start()
    runner.wait()
    sender.stop(2.0)
    runner.goodbye()
    return 0
