"""What delivery does again and again in the worker."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from mainstay.foundation.environment import Environment
from mainstay.foundation.processes.outage import outage
from mainstay.foundation.processes.run import Cycle, Work
from mainstay.net.policy import Connections, policy
from mainstay.respond.delivery import outbox
from mainstay.respond.delivery.sending import last_message, outgoing_heartbeat
from mainstay.respond.delivery.sending.last_message import LastMessage
from mainstay.respond.delivery.sending.outgoing_heartbeat import OutgoingHeartbeat
from mainstay.respond.delivery.sending.send import Sender

STOP_WITHIN_S = 2.0


def worker(environment: Environment, _works: Sequence[Work]) -> Work:
    """Send what waits; tell others that all is well, and the last message when nothing can be recorded."""
    connections = Connections(policy(environment))
    sender = Sender(connections, freed=lambda: send.wake.set())
    send = Cycle("send", 0.1, sender.cycle)
    last = LastMessage(connections, outage, settings.SECRET_KEY, settings.BASE_URL, settings.INSTANCE)
    heartbeat = OutgoingHeartbeat(environment.heartbeat_url, connections)

    def catch_up(now: datetime, _process: int) -> None:
        outbox.pull_in(now)

    cycles = (
        send,
        Cycle("outbox", 5.0, catch_up),
        Cycle("channels", last_message.REMEMBER_EVERY_S, last.remember),
        Cycle("last message", 1.0, last.cycle),
        *([Cycle("heartbeat", outgoing_heartbeat.LOOK_EVERY_S, heartbeat.cycle)] if heartbeat.url else []),
    )
    return Work(cycles, stop=lambda: sender.stop(STOP_WITHIN_S))
