"""Intake of pings, driven as an ASGI server drives it: answered only when committed, and never lost."""

import asyncio
import logging
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Iterable
from time import monotonic
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.http.connections import Limits
from mainstay.observe.checks import actions
from mainstay.observe.checks.models import Check, Ping
from mainstay.observe.checks.pings import (
    BODY_KEPT_BYTES,
    BODY_READ_BYTES,
    PER_KEY_MOST,
    STRANGE_MOST,
    BadPing,
    Intake,
    parse,
)
from mainstay.observe.checks.tests.parts import after, check, heartbeat
from tests.database import away

KEY = uuid.UUID("5b9f1e8a-0c1d-4c1e-9a53-000000000001")
database = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        (f"/ping/{KEY}", "success", None),
        (f"/ping/{KEY}/", "success", None),
        (f"/ping/{KEY}/start", "start", None),
        (f"/ping/{KEY}/fail", "fail", None),
        (f"/ping/{KEY}/log", "log", None),
        (f"/ping/{KEY}/0", "success", 0),
        (f"/ping/{KEY}/1", "fail", 1),
        (f"/ping/{KEY}/255", "fail", 255),
        (f"/ping/{KEY.hex}", "success", None),
        (f"/ping/{str(KEY).upper()}", "success", None),
    ],
)
def test_an_address_says_what_the_ping_means(path: str, kind: str, status: int | None) -> None:
    assert parse(path) == (KEY, kind, status)


@pytest.mark.parametrize(
    "path",
    [
        "/ping/",
        "/ping/x",
        "/ping//start",
        f"/ping/{KEY}/256",
        f"/ping/{KEY}/-1",
        f"/ping/{KEY}/1.0",
        f"/ping/{KEY}/٣",
        f"/ping/{KEY}/" + "9" * 5_000,
        f"/ping/{KEY}/stop",
        f"/ping/{KEY}/start/1",
        f"/ping/{KEY}x",
        f"/ping/{KEY}/\0",
    ],
)
def test_another_address_is_refused_with_what_would_be_one(path: str) -> None:
    with pytest.raises(BadPing, match="uuid"):
        parse(path)


async def ask(
    intake: Intake,
    path: str,
    method: str = "GET",
    body: Iterable[bytes] = (b"",),
    query: bytes = b"",
    *,
    disconnect: bool = False,
) -> tuple[int, str, dict[bytes, bytes]]:
    """One request; status, text and headers of its answer."""
    parts = list(body)
    incoming: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": disconnect or place < len(parts) - 1}
        for place, part in enumerate(parts)
    ]
    if disconnect:
        incoming.append({"type": "http.disconnect"})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query, "client": ("192.0.2.7", 5)}
    await asyncio.wait_for(intake(scope, receive, send), 10)
    return sent[0]["status"], sent[1]["body"].decode(), dict(sent[0]["headers"])


def drive(*requests: Any, together: bool = False) -> list[tuple[int, str, dict[bytes, bytes]]]:
    """Send requests (arguments of `ask`) one after the other, or all at once."""

    async def run() -> list[tuple[int, str, dict[bytes, bytes]]]:
        intake = Intake()
        intake.start()
        try:
            calls = [ask(intake, *args, **kwargs) for args, kwargs in requests]
            return list(await asyncio.gather(*calls)) if together else [await call for call in calls]
        finally:
            intake.stop()

    return asyncio.run(run())


def request(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def address(row: Check, signal: str = "") -> str:
    return f"/ping/{row.ping_key}{signal}"


@database
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_ping_is_answered_when_it_is_in_the_table(method: str) -> None:
    row = heartbeat()
    [(status, text, headers)] = drive(request(address(row, "/3"), method))
    assert (status, text, headers[b"cache-control"]) == (200, "OK", b"no-store")
    assert (headers[b"ping-body-limit"], headers[b"access-control-allow-origin"]) == (b"10000", b"*")
    ping = Ping.objects.get()
    assert (ping.check_ref_id, ping.kind, ping.exit_status, ping.source) == (row.pk, "fail", 3, "192.0.2.7")
    assert not ping.handled


@database
def test_a_ping_to_a_paused_check_is_kept_and_the_check_stays_paused() -> None:
    row = heartbeat(paused=True)
    [(status, text, _)] = drive(request(address(row)))
    assert (status, text) == (200, "OK")
    assert Ping.objects.get().check_ref_id == row.pk
    row.refresh_from_db()
    assert row.paused


@database
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_refused(method: str) -> None:
    [(status, _, headers)] = drive(request(address(heartbeat()), method))
    assert (status, headers[b"allow"]) == (405, b"GET, HEAD, POST")
    assert not Ping.objects.exists()


@database
def test_an_unknown_address_is_404_and_a_malformed_one_400() -> None:
    probed = check()
    found = drive(
        request(f"/ping/{uuid.uuid4()}"), request("/ping/x"), request("/ping/"), request(address(probed)),
    )  # fmt: skip
    assert [status for status, _, _ in found] == [404, 400, 400, 404]
    assert not Ping.objects.exists()


@database
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([b"disk ", b"full"], "disk full"),
        ([b"\xff\xfe\x80"], "\ufffd\ufffd\ufffd"),
        ([b"a\0b"], "a\ufffdb"),
        ([b"x" * BODY_KEPT_BYTES, b"the end"], "x" * (BODY_KEPT_BYTES - 7) + "the end"),
        ([b""], ""),
    ],
)
def test_the_end_of_the_log_is_kept(sent: list[bytes], kept: str) -> None:
    row = heartbeat()
    assert drive(request(address(row, "/fail"), "POST", sent))[0][0] == 200
    assert Ping.objects.get().body == kept


@database
def test_a_long_log_is_cut_and_the_ping_counts() -> None:
    row = heartbeat()
    assert drive(request(address(row), "POST", [b"x" * 65_536] * 30 + [b"done"]))[0][0] == 200
    assert Ping.objects.get().body.endswith("done")


@database
def test_a_body_without_end_is_refused() -> None:
    row = heartbeat()
    status, text, _ = drive(request(address(row), "POST", [b"x" * 1_000_000] * (BODY_READ_BYTES // 1_000_000 + 1)))[0]
    assert status == 413
    assert str(BODY_KEPT_BYTES) in text
    assert not Ping.objects.exists()


@database
def test_a_job_whose_connection_breaks_while_it_sends_its_log_has_reported() -> None:
    row = heartbeat()
    drive(request(address(row, "/fail"), "POST", [b"half a l"], disconnect=True))
    assert Ping.objects.get().body == "half a l"


RUN = "04603d8b-2f7a-4d5e-9a57-3e1c8d2f4b60"


@database
@pytest.mark.fault("C16")
@pytest.mark.parametrize(
    ("query", "run"),
    [
        ("", ""),
        ("other=1", ""),
        (f"rid={RUN}", RUN),
        (f"rid={RUN.upper()}", RUN),
        (f"rid={RUN}&rid=again", RUN),
        (f"a=b&rid={RUN}&create=1", RUN),
    ],
)
def test_the_run_is_a_uuid_in_whatever_case(query: str, run: str) -> None:
    row = heartbeat()
    assert drive(request(address(row), query=query.encode()))[0][0] == 200
    assert Ping.objects.get().run == run


@database
@pytest.mark.fault("C16")
@pytest.mark.parametrize(
    "query",
    [
        "rid=", "rid=12345", "rid=abc", f"rid={RUN}0", f"rid={RUN[:-1]}", f"rid={{{RUN}}}", f"rid=urn:uuid:{RUN}",
        f"rid={RUN.replace('-', '')}", "rid=%00", "rid=%ff%fe", "rid=\xff", "rid=%ed%a0%80",
        f"rid=%20{RUN}", f"rid={RUN}%0a",
    ],
)  # fmt: skip
def test_what_is_no_uuid_names_no_run(query: str) -> None:
    row = heartbeat()
    status, text, _ = drive(request(address(row), query=query.encode("latin-1")))[0]
    assert status == 400
    assert "rid is no UUID" in str(text)
    assert not Ping.objects.exists()


@database
def test_pings_that_arrive_together_share_commits_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [heartbeat(f"job-{number}") for number in range(3)]
    commits = []
    commit = Intake._commit

    def counted(self: Intake, batch: Any) -> list[int]:
        commits.append(len(batch))
        return commit(self, batch)

    monkeypatch.setattr(Intake, "_commit", counted)
    asked = [request(address(rows[number % 3], f"/{number % 256}")) for number in range(300)]
    found = drive(*asked, request(f"/ping/{uuid.uuid4()}"), together=True)
    assert [status for status, _, _ in found] == [200] * 300 + [404]
    assert Ping.objects.count() == 300
    assert sum(commits) == 301
    assert len(commits) < 100


@database
def test_a_ping_that_the_database_refuses_is_answered_503_and_the_next_one_is_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    row = heartbeat()

    class Failing(Intake):
        refused = 0

        def _commit(self, batch: Any) -> list[int]:
            if self.refused:
                return super()._commit(batch)
            self.refused = 1
            with connection.cursor() as cursor:  # this thread's own connection is opened, then made to fail
                cursor.execute("SELECT 1")
            with away():
                return super()._commit(batch)

    async def run() -> list[int]:
        intake = Failing()
        intake.start()
        try:
            return [(await ask(intake, address(row)))[0] for _ in range(2)]
        finally:
            intake.stop()

    with caplog.at_level(logging.CRITICAL):
        assert asyncio.run(run()) == [503, 200]
    assert Ping.objects.count() == 1


@database
def test_a_defect_ends_a_ping_not_the_intake(caplog: pytest.LogCaptureFixture) -> None:
    row = heartbeat()

    class Broken(Intake):
        broken = True

        def _find(self, keys: set[str]) -> dict[str, int]:
            if self.broken:
                self.broken = False
                raise ZeroDivisionError
            return super()._find(keys)

    async def run() -> list[int]:
        intake = Broken()
        intake.start()
        try:
            return [(await ask(intake, address(row)))[0] for _ in range(2)]
        finally:
            intake.stop()

    with caplog.at_level(logging.CRITICAL):
        assert asyncio.run(run()) == [503, 200]


@database
def test_stopping_commits_what_has_arrived() -> None:
    row = heartbeat()

    async def run() -> list[int]:
        intake = Intake()
        calls = [asyncio.create_task(ask(intake, address(row))) for _ in range(20)]
        while intake.waiting < 20:  # all wait, and nothing commits yet
            await asyncio.sleep(0)
        intake.start()
        intake.stop()
        return [status for status, _, _ in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == [200] * 20
    assert Ping.objects.count() == 20


@database
def test_the_address_of_a_removed_check_is_404_for_a_fresh_process(me: Actor) -> None:
    row = heartbeat()
    actions.remove_check(row, me, after(1))
    assert drive(request(f"/ping/{row.ping_key}"))[0][0] == 404


@database
def test_a_refused_batch_leaves_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    row = heartbeat()
    on_exit = transaction.Atomic.__exit__

    def fail_at_commit(self: transaction.Atomic, *args: Any) -> None:
        if connection.in_atomic_block and len(connection.savepoint_ids) == 0 and args[0] is None:
            on_exit(self, DatabaseError, DatabaseError("disk full"), None)
            raise DatabaseError("disk full")
        on_exit(self, *args)

    intake = Intake()
    monkeypatch.setattr(transaction.Atomic, "__exit__", fail_at_commit)
    with caplog.at_level(logging.CRITICAL):
        from mainstay.observe.checks.pings import _Waiting

        waiting = _Waiting(row.ping_digest, "success", None, "", "", "", after(0), None)  # type: ignore[arg-type]
        assert intake._commit([waiting]) == [503]
    monkeypatch.undo()
    assert not Ping.objects.exists()


@database
def test_made_up_addresses_never_take_the_write_lock() -> None:
    row = heartbeat()
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL locks rows, not the file")
    locker = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    try:
        found = drive(*[request(f"/ping/{uuid.uuid4()}") for _ in range(20)], together=True)
    finally:
        locker.execute("ROLLBACK")
        locker.close()
    assert [status for status, _, _ in found] == [404] * 20
    assert drive(request(address(row)))[0][0] == 200


@database
def test_made_up_addresses_open_no_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    enter = transaction.Atomic.__enter__

    def counted(self: transaction.Atomic) -> None:
        opened.append(self)
        enter(self)

    monkeypatch.setattr(transaction.Atomic, "__enter__", counted)
    assert drive(request(f"/ping/{uuid.uuid4()}"))[0][0] == 404
    assert not opened


@database
def test_a_noisy_job_is_told_to_slow_down_and_others_are_taken() -> None:
    noisy, calm = heartbeat("noisy"), heartbeat("calm")

    async def run() -> tuple[list[tuple[int, str, dict[bytes, bytes]]], int]:
        intake = Intake()
        calls = [asyncio.create_task(ask(intake, address(noisy))) for _ in range(PER_KEY_MOST + 50)]
        last = asyncio.create_task(ask(intake, address(calm)))
        while intake.waiting < PER_KEY_MOST + 1:  # all wait, and nothing commits yet
            await asyncio.sleep(0)
        intake.start()
        found = list(await asyncio.gather(*calls))
        assert (await ask(intake, address(noisy)))[0] == 200, "as soon as its pings are stored it may go on"
        intake.stop()
        return found, (await last)[0]

    found, others = asyncio.run(run())
    assert Counter(status for status, _, _ in found) == {200: PER_KEY_MOST, 429: 50}
    assert all(headers[b"retry-after"] == b"1" for status, _, headers in found if status == 429)
    assert others == 200


@database
def test_a_flood_of_made_up_addresses_displaces_no_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [heartbeat(f"job-{number}") for number in range(3)]
    batches: list[list[uuid.UUID]] = []
    commit = Intake._commit

    def kept(self: Intake, batch: Any) -> list[int]:
        batches.append([waiting.key for waiting in batch])
        return commit(self, batch)

    monkeypatch.setattr(Intake, "_commit", kept)

    intake = Intake()

    def remember() -> None:
        intake._remember_all()
        connection.close()

    async def run() -> tuple[Counter[int], Counter[int]]:
        await asyncio.to_thread(remember)  # as at the start of the process
        made_up = [asyncio.create_task(ask(intake, f"/ping/{uuid.uuid4()}")) for _ in range(STRANGE_MOST + 100)]
        await asyncio.sleep(0.2)
        real = [asyncio.create_task(ask(intake, address(row))) for row in rows]
        while intake.waiting < STRANGE_MOST + 3:
            await asyncio.sleep(0)
        intake.start()
        done = await asyncio.gather(*made_up), await asyncio.gather(*real)
        intake.stop()
        return Counter(one[0] for one in done[0]), Counter(one[0] for one in done[1])

    made_up, real = asyncio.run(run())
    assert real == {200: 3}
    assert made_up == {404: STRANGE_MOST, 503: 100}
    assert batches[0][:3] == [row.ping_digest for row in rows], "jobs' pings go first"


@database
def test_a_ping_that_cannot_be_stored_says_when_to_try_again(caplog: pytest.LogCaptureFixture) -> None:
    row = heartbeat()

    class Away(Intake):
        def _find(self, keys: set[str]) -> dict[str, int]:
            raise DatabaseError("away")

    async def run() -> tuple[int, str, dict[bytes, bytes]]:
        intake = Away()
        intake.start()
        try:
            return await ask(intake, address(row))
        finally:
            intake.stop()

    with caplog.at_level(logging.CRITICAL):
        status, text, headers = asyncio.run(run())
    assert (status, headers[b"retry-after"]) == (503, b"5")
    assert "try again" in text


@database
def test_pings_that_are_refused_or_wait_for_seconds_are_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    row = heartbeat()
    go, refusals = threading.Event(), [DatabaseError("away"), None, DatabaseError("away")]

    class Away(Intake):
        def _find(self, keys: set[str]) -> dict[str, int]:
            if refusals:
                if (refusal := refusals.pop()) is not None:
                    raise refusal
            else:
                assert go.wait(20)
            return super()._find(keys)

    async def run() -> list[bool]:
        intake = Away()
        intake.start()
        takes = [intake.takes(monotonic())]
        assert (await ask(intake, address(row)))[0] == 503
        # One refusal says nothing yet; that none is stored for seconds does, if jobs still ask.
        takes += [intake.takes(monotonic() + later_s) for later_s in (0, 4, 30)]
        assert (await ask(intake, f"/ping/{uuid.uuid4()}"))[0] == 404
        takes.append(intake.takes(monotonic() + 4))  # a stranger's needs no writing, so it says nothing
        assert (await ask(intake, address(row)))[0] == 503
        call = asyncio.create_task(ask(intake, address(row)))
        while intake.turn().round is None:
            await asyncio.sleep(0.01)
        takes += [intake.takes(monotonic() + later_s) for later_s in (0, 4, 30)]
        go.set()
        assert (await call)[0] == 200
        takes.append(intake.takes(monotonic() + 4))
        intake.stop()
        return takes

    with caplog.at_level(logging.CRITICAL):
        assert asyncio.run(run()) == [True, True, False, True, False, True, False, False, True]


@database
def test_a_log_that_does_not_arrive_is_no_report() -> None:
    row = heartbeat()

    async def run() -> int:
        intake = Intake(Limits(grace_s=0.05))
        intake.start()
        sent: list[dict[str, Any]] = []
        parts = [{"type": "http.request", "body": b"half", "more_body": True}]

        async def receive() -> dict[str, Any]:
            if parts:
                return parts.pop()
            await asyncio.sleep(60)
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": address(row), "query_string": b"", "client": None}
        await asyncio.wait_for(intake(scope, receive, send), 10)
        intake.stop()
        return int(sent[0]["status"])

    assert asyncio.run(run()) == 408
    assert not Ping.objects.exists()
