"""`mainstay worker`: sends pages, reminds, seals the journal, makes hourly figures, clears away what is old, notices
rules that are not evaluated.
"""

import argparse
import logging
from datetime import datetime
from pathlib import Path

from django.conf import settings

from mainstay.config.models import Applying, cut_off
from mainstay.foundation import environment as env
from mainstay.foundation import gaps
from mainstay.foundation.api.idempotency import forget
from mainstay.foundation.journal import heads
from mainstay.foundation.journal.seal import BATCH, seal_once
from mainstay.foundation.processes import beat, disk
from mainstay.foundation.processes.outage import outage
from mainstay.foundation.processes.run import Cycle, Runner
from mainstay.net.policy import Connections, policy
from mainstay.observe.checks.uptime.retention import roll_up, tell_distrust, trim, trusted
from mainstay.respond.alerts.actions import after_jump, consider_due, pull_in
from mainstay.respond.delivery import outbox
from mainstay.respond.delivery.sending import last_message, outgoing_heartbeat
from mainstay.respond.delivery.sending.last_message import LastMessage
from mainstay.respond.delivery.sending.outgoing_heartbeat import OutgoingHeartbeat
from mainstay.respond.delivery.sending.send import Sender
from mainstay.respond.rules.engine.overdue import LOOK_EVERY_S, Lookout

log = logging.getLogger("mainstay.worker")
CLEARING_S = 600.0  # that one statement may take which clears away what is old


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay worker` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    environment = env.read()
    connections = Connections(policy(environment))
    sender = Sender(connections, freed=lambda: send.wake.set())

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
        sealed = seal_once(now)
        if sealed:
            heads.note(environment.home / heads.NAME)
        return sealed == BATCH

    def clear(now: datetime, _process: int) -> bool:
        roll_up(now)
        by = trusted(now)
        tell_distrust(now, by)
        return any([trim(by, environment.results_kept_s), forget(by)])

    database = settings.DATABASES["default"]
    places = [environment.home, *([Path(database["NAME"])] if database["ENGINE"].endswith("sqlite3") else [])]

    def look_at_disk(now: datetime, _process: int) -> None:
        disk.look(places, now)

    last = LastMessage(connections, outage, settings.SECRET_KEY, settings.BASE_URL, settings.INSTANCE)
    heartbeat = OutgoingHeartbeat(environment.heartbeat_url, connections)

    def finish(now: datetime, _process: int) -> bool:
        if not Applying.objects.filter(cut_off(now)).exists():
            return False
        from mainstay.config.apply import finish_cut_off  # with its YAML reader, only when there is something to read

        return finish_cut_off(now)

    send = Cycle("send", 0.1, sender.cycle)
    cycles = [
        send,
        Cycle("remind", 0.5, remind),
        Cycle("clock", 5.0, catch_up),
        Cycle("seal", 1.0, seal),
        Cycle("clear", 60.0, clear, patience_s=CLEARING_S),
        Cycle("channels", last_message.REMEMBER_EVERY_S, last.remember),
        Cycle("last message", 1.0, last.cycle),
        Cycle("disk", disk.LOOK_EVERY_S, look_at_disk),
        *([Cycle("heartbeat", outgoing_heartbeat.LOOK_EVERY_S, heartbeat.cycle)] if heartbeat.url else []),
        Cycle("rules", LOOK_EVERY_S, Lookout().cycle),
        Cycle("finish", 10.0, finish),
    ]
    runner = Runner("worker", cycles)
    runner.stop_on_signals()
    runner.start()
    runner.wait()
    sender.stop(2.0)
    runner.goodbye()
    return 0
