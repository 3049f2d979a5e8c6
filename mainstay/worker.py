"""`mainstay worker`: sends pages, reminds, seals the journal, makes hourly figures, clears away what is old, notices
rules that are not evaluated.
"""

import argparse
import logging
from datetime import datetime
from pathlib import Path

from django.conf import settings

from mainstay.foundation import environment as env
from mainstay.foundation.api.idempotency import forget
from mainstay.foundation.journal.seal import BATCH, seal_once
from mainstay.foundation.processes import disk
from mainstay.foundation.processes.outage import outage
from mainstay.foundation.processes.run import Cycle, Runner
from mainstay.observe.checks.keep import roll_up, trim
from mainstay.observe.checks.targets import Connections, policy
from mainstay.respond.alerts.actions import consider_due
from mainstay.respond.delivery import last_message, outgoing_heartbeat
from mainstay.respond.delivery.last_message import LastMessage
from mainstay.respond.delivery.outgoing_heartbeat import OutgoingHeartbeat
from mainstay.respond.delivery.send import Sender
from mainstay.respond.rules.overdue import LOOK_EVERY_S, Lookout

log = logging.getLogger("mainstay.worker")
CLEARING_S = 600.0  # that one statement may take which clears away what is old


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay worker` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    environment = env.read()
    connections = Connections(policy(environment))
    sender = Sender(connections, freed=lambda: send.wake.set())

    def remind(now: datetime, _process: int) -> bool:
        return consider_due(now) > 0

    def seal(now: datetime, _process: int) -> bool:
        return seal_once(now) == BATCH

    def clear(now: datetime, _process: int) -> bool:
        roll_up(now)
        return any([trim(now, environment.results_kept_s), forget(now)])

    database = settings.DATABASES["default"]
    places = [environment.home, *([Path(database["NAME"])] if database["ENGINE"].endswith("sqlite3") else [])]

    def look_at_disk(now: datetime, _process: int) -> None:
        disk.look(places, now)

    last = LastMessage(connections, outage, settings.SECRET_KEY, settings.BASE_URL, settings.INSTANCE)
    heartbeat = OutgoingHeartbeat(environment.heartbeat_url, connections)
    send = Cycle("send", 0.1, sender.cycle)
    cycles = [
        send,
        Cycle("remind", 0.5, remind),
        Cycle("seal", 1.0, seal),
        Cycle("clear", 60.0, clear, patience_s=CLEARING_S),
        Cycle("channels", last_message.REMEMBER_EVERY_S, last.remember),
        Cycle("last message", 1.0, last.cycle),
        Cycle("disk", disk.LOOK_EVERY_S, look_at_disk),
        *([Cycle("heartbeat", outgoing_heartbeat.LOOK_EVERY_S, heartbeat.cycle)] if heartbeat.url else []),
        Cycle("rules", LOOK_EVERY_S, Lookout().cycle),
    ]
    runner = Runner("worker", cycles)
    runner.stop_on_signals()
    runner.start()
    runner.wait()
    sender.stop(2.0)
    runner.goodbye()
    return 0
