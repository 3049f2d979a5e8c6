"""The outgoing heartbeat, and the last message when nothing can be recorded; with a real receiver."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from mainstay.foundation.processes import notices
from mainstay.foundation.processes.models import Process
from mainstay.foundation.processes.outage import Outage
from mainstay.foundation.secrets import seal
from mainstay.net.policy import AddressPolicy, Connections
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.sending import outgoing_heartbeat
from mainstay.respond.delivery.sending.last_message import LastMessage
from mainstay.respond.delivery.sending.outgoing_heartbeat import OutgoingHeartbeat

pytestmark = pytest.mark.django_db
POLICY = Connections(AddressPolicy())
FULL = OperationalError("database or disk is full")


class Receiver(ThreadingHTTPServer):
    """Takes what is posted; answers `status`."""

    status = 200

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ping/5f3f2f6f"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    fresh = Outage()
    monkeypatch.setattr(outgoing_heartbeat, "outage", fresh)
    return fresh


@pytest.fixture
def heartbeat(receiver: Receiver, outage: Outage) -> Iterator[OutgoingHeartbeat]:
    yield OutgoingHeartbeat(receiver.url, POLICY)
    notices.end(outgoing_heartbeat.NOTICE)


def processes(at: datetime, *roles: str) -> None:
    Process.objects.all().delete()
    for role in roles:
        Process.objects.create(role=role, host="h", pid=1, boot="", started_at=at, beat_at=at)


def travel(heartbeat: OutgoingHeartbeat, begin: datetime, seconds: int, *roles: str) -> None:
    """Run its cycle as the worker does, while these processes beat."""
    for second in range(0, seconds, 2):
        at = begin + timedelta(seconds=second)
        processes(at, *roles)
        heartbeat.cycle(at, 1)


ALL = ("web", "monitor", "worker")


def test_it_is_sent_every_half_minute_while_all_is_well(
    heartbeat: OutgoingHeartbeat, receiver: Receiver, noon: datetime
) -> None:
    travel(heartbeat, noon, 120, *ALL)
    assert receiver.got == [("/ping/5f3f2f6f", b"")] * 4


def test_it_stops_while_a_process_is_missing_or_late_and_comes_back(
    heartbeat: OutgoingHeartbeat, receiver: Receiver, noon: datetime
) -> None:
    travel(heartbeat, noon, 60, "web", "worker")
    assert receiver.got == []
    processes(noon + timedelta(seconds=60), *ALL)
    Process.objects.filter(role="monitor").update(lag_s=20)
    heartbeat.cycle(noon + timedelta(seconds=60), 1)
    assert receiver.got == []
    travel(heartbeat, noon + timedelta(seconds=62), 40, *ALL)
    assert len(receiver.got) == 2


def test_it_stops_while_the_database_takes_no_writes(
    heartbeat: OutgoingHeartbeat, receiver: Receiver, outage: Outage, noon: datetime
) -> None:
    outage.refused("beat", FULL, time.monotonic())
    travel(heartbeat, noon, 60, *ALL)
    assert receiver.got == []
    outage.answered("beat", time.monotonic())
    travel(heartbeat, noon + timedelta(seconds=60), 2, *ALL)
    assert len(receiver.got) == 1


def test_a_clock_set_back_does_not_silence_it(heartbeat: OutgoingHeartbeat, receiver: Receiver, noon: datetime) -> None:
    travel(heartbeat, noon, 2, *ALL)
    travel(heartbeat, noon - timedelta(days=40), 62, *ALL)
    assert len(receiver.got) == 4


@pytest.mark.parametrize("trouble", ["refuses", "is away"])
def test_one_that_does_not_arrive_is_told_without_its_secret_address(
    trouble: str, heartbeat: OutgoingHeartbeat, receiver: Receiver, noon: datetime
) -> None:
    if trouble == "refuses":
        receiver.status = 404
    else:
        receiver.shutdown()
        receiver.server_close()
    travel(heartbeat, noon, 2, *ALL)
    (told,) = notices.told()
    assert told["title"] == "The outgoing heartbeat does not arrive."
    assert "5f3f2f6f" not in str(told["detail"])
    if trouble == "refuses":
        receiver.status = 200
        travel(heartbeat, noon + timedelta(seconds=30), 2, *ALL)
        assert notices.told() == []


def test_it_goes_nowhere_that_the_address_policy_forbids(receiver: Receiver, outage: Outage, noon: datetime) -> None:
    heartbeat = OutgoingHeartbeat(receiver.url, Connections(AddressPolicy("public-only")))
    travel(heartbeat, noon, 2, *ALL)
    assert receiver.got == []
    assert notices.told()
    notices.end(outgoing_heartbeat.NOTICE)


# --- the last message -----------------------------------------------------------------------------------------------


def channel(name: str, receiver: Receiver, *, paused: bool = False) -> None:
    config = {"url": seal(receiver.url, settings.SECRET_KEY)}
    Channel.objects.create(
        name=name, kind="webhook", config=config, paused=paused, created_at=datetime(2026, 3, 2, tzinfo=UTC)
    )


def until(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + 10
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_each_channel_gets_one_message_when_nothing_can_be_recorded_and_one_when_it_is_over(
    receiver: Receiver, outage: Outage, noon: datetime
) -> None:
    channel("ops", receiver)
    channel("mail", receiver)
    channel("quiet", receiver, paused=True)
    Channel.objects.create(name="unknown", kind="pigeon", created_at=noon)
    last = LastMessage(POLICY, outage, settings.SECRET_KEY, "http://127.0.0.1", "i")
    last.remember(noon, 1)
    begin = time.monotonic()
    outage.refused("beat", FULL, begin - 59)
    outage.refused("beat", FULL, begin)
    last.cycle(noon, 1)
    assert last._thread is None  # not for a moment's trouble

    outage.answered("beat", begin)
    outage.refused("beat", FULL, begin - 61)
    for second in range(100):
        last.cycle(noon + timedelta(seconds=second), 1)
    until(lambda: len(receiver.got) == 2)
    body = json.loads(receiver.got[0][1])
    assert body["status"] == "firing"
    assert "cannot be written: disk full, since 11:58 UTC" in receiver.got[0][1].decode()

    outage.answered("beat", time.monotonic())
    until(lambda: not (last._thread and last._thread.is_alive()))
    last.cycle(noon + timedelta(seconds=100), 1)
    until(lambda: len(receiver.got) == 4)
    assert [json.loads(body)["status"] for _, body in receiver.got] == ["firing", "firing", "resolved", "resolved"]
    assert not Delivery.objects.exists()

    outage.refused("beat", FULL, time.monotonic() - 61)  # a database that comes and goes pages every ten minutes
    until(lambda: not (last._thread and last._thread.is_alive()))
    last.cycle(noon + timedelta(seconds=200), 1)
    assert last._told is None
    last.cycle(noon + timedelta(seconds=700), 1)
    until(lambda: len(receiver.got) == 6)


def test_it_asks_the_database_nothing(receiver: Receiver, outage: Outage, noon: datetime) -> None:
    channel("ops", receiver)
    last = LastMessage(POLICY, outage, settings.SECRET_KEY, "http://127.0.0.1", "i")
    last.remember(noon, 1)
    Channel.objects.all().delete()
    outage.refused("beat", FULL, time.monotonic() - 61)
    with CaptureQueriesContext(connection) as asked:
        last.cycle(noon, 1)
        until(lambda: receiver.got)
    assert len(asked) == 0
