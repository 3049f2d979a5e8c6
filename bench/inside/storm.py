"""Lets many checks of a fresh installation fail at once, and come back: `python -m bench.inside.storm CHECKS [parent]`.

One thread commits as the monitor does and one decides again as the worker does, while another acknowledges an alert
again and again, as a person would. Prints one line of JSON per turn: seconds until the first 100 pages and the last,
CPU seconds per change, the longest transaction, and how long an acknowledgement waited at most.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction

import bench.inside  # noqa: F401  # sets Django up
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.observe.checks.decide import Health, State, Thresholds
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.runtime.watched import Observation, Watched
from mainstay.respond.alerts.actions import acknowledge, consider_due, unacknowledge
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery.actions import put_channel
from mainstay.respond.delivery.models import Delivery
from mainstay.respond.delivery.spec import ChannelSpec

SEVERITIES = ("minor", "major", "critical")


def main() -> None:
    """Measure on the database that the environment names."""
    number, parent = int(sys.argv[1]), "parent" in sys.argv[2:]
    call_command("migrate", verbosity=0)
    at = now()
    hook = ChannelSpec.model_validate({"name": "ops", "webhook": {"url": "http://127.0.0.1:1/"}})
    put_channel(hook, COMMAND_LINE, at)
    put_route(RouteSpec.model_validate({"name": "all", "notify": ["ops"]}), COMMAND_LINE, at)
    held = _held(number, at, parent=parent)
    held.observe(_seen(sorted(held.checks), Health.UP))
    _flushed(held)
    _settled()
    first, *rest = sorted(held.checks)
    if parent:
        held.observe([Observation(first, now(), Health.DOWN, 0.1, "no answer")])
        _flushed(held)
    else:
        rest = [first, *rest]
    print(json.dumps({"turn": "down", **_turn(held, lambda: _seen(rest, Health.DOWN), len(rest))}))
    if parent:
        began = time.process_time()
        decided = sum(consider_due(now() + timedelta(seconds=30 * turn)) for turn in range(1, 11))
        print(json.dumps({"turn": "held", "decided_in_5_min": decided, "cpu_s": time.process_time() - began}))
    print(json.dumps({"turn": "up", **_turn(held, lambda: _seen(sorted(held.checks), Health.UP), len(rest))}))


def _held(number: int, at: datetime, *, parent: bool) -> Watch:
    application = Application.objects.create(name="shop", created_at=at)
    rows = Check.objects.bulk_create(
        Check(
            application=application, name=f"c{place}", kind="tcp", target="x", fail_after=1, recover_after=1,
            severity=SEVERITIES[place % 3], created_at=at,
        )
        for place in range(number)
    )  # fmt: skip
    CheckState.objects.bulk_create(CheckState(check_ref=row) for row in rows)
    if parent:
        through = Check.needs.through
        through.objects.bulk_create(through(from_check=row, to_check=rows[0]) for row in rows[1:])
    held = Watch()
    for row in rows:
        held.put(_watched(row, application))
    return held


def _watched(row: Check, application: Application) -> Watched:
    given: dict[str, Any] = {"severity": row.severity} if "severity" in Watched.__dataclass_fields__ else {}
    return Watched(
        id=row.pk, version=0, name=f"shop/{row.name}", application=application.pk, kind=row.kind,
        thresholds=Thresholds(1, 1), every_s=60, timeout_s=10, paused=False, created_at=row.created_at, rhythm=None,
        state=State(), changes=0, first_at=None, **given,
    )  # fmt: skip


def _seen(checks: list[int], health: Health) -> list[Observation]:
    at = now()
    return [Observation(check, at, health, 0.1, "" if health is Health.UP else "HTTP 500") for check in checks]


def _flushed(held: Watch) -> None:
    while held.flush(force=True):
        pass


def _settled() -> None:
    while consider_due(now()):
        pass


def _turn(held: Watch, seen: Callable[[], list[Observation]], changes: int) -> dict[str, Any]:
    before = Delivery.objects.count()
    done = threading.Event()
    waits: list[float] = []
    refused: list[str] = []
    threads = [
        threading.Thread(target=_until(done, lambda: consider_due(now()))),
        threading.Thread(target=_until(done, lambda: _person(waits, refused))),
    ]
    longest = _Longest()
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    waits.clear()
    began, cpu = time.monotonic(), time.process_time()
    held.observe(seen())
    times: list[tuple[float, int]] = []
    with longest:
        while held.flush(force=True):
            times.append((time.monotonic() - began, Delivery.objects.count() - before))
    took = time.monotonic() - began
    cpu = time.process_time() - cpu
    done.set()
    for thread in threads:
        thread.join()
    return {
        "changes": changes,
        "first_100_s": round(next((at for at, pages in times if pages >= 100), took), 2),
        "last_s": round(took, 2),
        "cpu_ms_per_change": round(1000 * cpu / changes, 2),
        "longest_transaction_s": round(longest.seconds, 2),
        "other_writes": len(waits),
        "waited_at_most_s": round(max(waits, default=0), 2),
        "refused": refused[:3],
        "pages": Delivery.objects.count() - before,
        "statements_per_change": round(longest.statements / changes, 1),
    }


def _until(done: threading.Event, act: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        while not done.is_set():
            act()
            done.wait(0.1)
        connection.close()

    return run


def _person(waits: list[float], refused: list[str]) -> None:
    alert = Alert.objects.filter(ended_at=None).order_by("id").first()
    began = time.monotonic()
    try:
        if alert is None:
            with transaction.atomic():
                Application.objects.filter(name="shop").update(description="busy")
        elif alert.acknowledged_at is None:
            acknowledge(alert, COMMAND_LINE, now())
        else:
            unacknowledge(alert, COMMAND_LINE, now())
    except Exception as error:  # noqa: BLE001  # counted
        refused.append(str(error))
    waits.append(time.monotonic() - began)


class _Longest:
    """The longest transaction of this thread from its first statement to its commit, and the statements of all."""

    def __init__(self) -> None:
        self.seconds, self.statements = 0.0, 0
        self._began: float | None = None

    def __enter__(self) -> None:
        self._wrapper = connection.execute_wrapper(self._saw)
        self._wrapper.__enter__()
        self._commit = connection._commit  # type: ignore[attr-defined]  # not public
        connection._commit = self._ended  # type: ignore[attr-defined]

    def _saw(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.statements += 1
        found = execute(sql, params, many, context)
        if connection.in_atomic_block and self._began is None:
            self._began = time.monotonic()
        return found

    def _ended(self) -> None:
        self._commit()
        if self._began is not None:
            self.seconds = max(self.seconds, time.monotonic() - self._began)
        self._began = None

    def __exit__(self, *_error: object) -> None:
        self._wrapper.__exit__(None, None, None)
        del connection._commit  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
