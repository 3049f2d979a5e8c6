"""Everything down at once and back: what pages, writes, pings and `/healthz` do meanwhile.

Each storm: thousands of checks fail together and recover a minute later, while one alert that pages nobody is taken and
given back twice a second, 30 heartbeats are pinged each second, and `/healthz` is asked twice a second.
"""

import itertools
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.figures import Aim, Figure, Line, Skipped
from bench.program import Cpu, Ports, directory, mainstay, postgresql, rows, target, unix
from tests.parts import Receiver
from tests.program import Program, until

SIZES, QUICK_SIZES = (2_000, 5_000), (300,)
EVERY_S = 10.0  # so that all have failed within so long
LASTS_S = 60.0
SLOW_S = 2.0
HEARTBEATS = 30
BEAT = "12s"  # with the grace below: a ping that is lost or late is paged about
FIRST = 100
WRITE_MOST_S, FIRST_MOST_S, LAST_MOST_S, GRAVE_MOST_S = 2.0, 10.0, 40.0, 10.0


def document(size: int, ports: list[int], receiver: Receiver, keys: list[str], *, parent: bool) -> Mapping[str, Any]:
    """Return the configuration: a storm of `size` checks, one that fails alone, heartbeats, one alert to write on."""

    def check(path: str, severity: str, number: int = 0, **more: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{ports[number % len(ports)]}/{path}"
        return {"http": {"url": url}, "every": f"{EVERY_S:g}s", "timeout": "3s", "fail_after": 1, "recover_after": 1,
                "severity": severity, **more}  # fmt: skip

    needs = {"needs": ["gateway"]} if parent else {}
    storm = [
        {"name": f"s{number}", **check(f"storm/{number}", ("major", "critical")[number % 10 == 0], number, **needs)}
        for number in range(size)
    ]
    beats = [
        {"name": f"job{number}", "severity": "critical", "heartbeat": {"every": BEAT, "grace": "5s", "key": key}}
        for number, key in enumerate(keys)
    ]
    gateway = [{"name": "gateway", **check("storm/gateway", "critical")}] if parent else []
    lone = [{"name": "lone", **check("lone", "critical")}]
    return {
        "applications": [
            {"name": "storm", "checks": [*gateway, *storm, *lone, *beats]},
            {"name": "aside", "checks": [{"name": "old", **check("down/old", "minor")}]},
        ],
        "channels": [{"name": "ops", "webhook": {"url": f"http://127.0.0.1:{receiver.port}/hook"}}],
        "routes": [{"name": "storm", "match": {"application": "storm"}, "notify": ["ops"]}],
    }


@dataclass
class Asked:
    """Requests of one kind while the storm lasts."""

    most_s: float = 0.0
    count: int = 0
    refused: list[str] = field(default_factory=list)

    def ask(self, request: urllib.request.Request | str) -> None:
        """Ask once; an answer that is not 2xx is a refusal."""
        begin = time.monotonic()
        self.count += 1
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        except (OSError, urllib.error.HTTPError) as error:
            self.refused.append(str(error))
        self.most_s = max(self.most_s, time.monotonic() - begin)


@contextmanager
def meanwhile(program: Program, alert: int, keys: list[str]) -> Iterator[dict[str, Asked]]:
    """Write, ping and ask for health for the length of a `with`."""
    asked = {"write": Asked(), "ping": Asked(), "health": Asked()}
    stop = threading.Event()
    deeds = itertools.cycle(("acknowledge", "unacknowledge"))
    if program.api("GET", f"/alerts/{alert}")["state"] == "acknowledged":  # an earlier storm has left it so
        next(deeds)

    def write() -> None:
        path = f"{program.url}/api/v1/alerts/{alert}/{next(deeds)}"
        request = urllib.request.Request(path, data=b"{}", method="POST")
        request.add_header("Authorization", f"Bearer {program.token}")
        request.add_header("Content-Type", "application/json")
        asked["write"].ask(request)

    def ping() -> None:
        for key in keys:
            asked["ping"].ask(f"{program.url}/ping/{key}")

    def repeat(act: Callable[[], None], every_s: float) -> None:
        while not stop.is_set():
            begin = time.monotonic()
            act()
            stop.wait(max(0.0, every_s - (time.monotonic() - begin)))

    health: Callable[[], None] = lambda: asked["health"].ask(f"{program.url}/healthz")  # noqa: E731
    threads = [
        threading.Thread(target=repeat, args=given, daemon=True) for given in ((write, 0.5), (ping, 1.0), (health, 0.5))
    ]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


@dataclass(frozen=True)
class Told:
    """What the receiver has heard: alert → when it was first named, and how many it knows of at which time."""

    named: Mapping[str, float]
    known: tuple[tuple[float, int], ...]

    @classmethod
    def of(cls, receiver: Receiver, since: float, status: str) -> "Told":
        """Read it from the messages. One that carries many names up to a hundred and counts the rest."""
        named: dict[str, float] = {}
        unnamed: dict[str, int] = {}  # group → how many it counts only
        known: list[tuple[float, int]] = []
        for page in list(receiver.pages):
            if page.at < since:
                continue
            for alert in page.body["alerts"]:
                labels = alert["labels"]
                if alert["status"] == status:
                    named.setdefault(labels.get("check") or labels["alertname"], page.at)
            if page.status == status:
                unnamed[page.body["groupKey"]] = page.body["truncatedAlerts"]
            known.append((page.at, len(named) + sum(unnamed.values())))
        return cls(named, tuple(known))

    def all_by(self, count: int) -> float:
        """Return when the receiver knew of so many; not-a-number when it never did."""
        return next((at for at, known in self.known if known >= count), float("nan"))


def run(*, quick: bool) -> list[Line]:
    """Measure; half an hour, `quick` three minutes."""
    lines: list[Line] = []
    for size in QUICK_SIZES if quick else SIZES:
        for database in ("SQLite",) if quick else ("SQLite", "PostgreSQL"):
            for part in (_apart, _with_parent):
                try:
                    lines += part(size, database)
                except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
                    # Half an hour of figures is not lost for the one that could not be taken.
                    lines.append(Skipped(f"{size:,} down, {database}, {part.__name__}", f"{error}"[-500:]))
    return lines


@contextmanager
def _program(size: int, database: str, *, parent: bool) -> Iterator[tuple[Program, Ports, Receiver, list[str], int]]:
    keys = [str(uuid.uuid4()) for _ in range(HEARTBEATS)]
    receiver = Receiver()
    receiver.start()
    with ExitStack() as stack:
        stack.callback(receiver.stop)
        home = stack.enter_context(directory())
        ports = stack.enter_context(target())
        extra = {"DATABASE_URL": stack.enter_context(postgresql(home))} if database == "PostgreSQL" else {}
        given = document(size, ports, receiver, keys, parent=parent)
        program = stack.enter_context(mainstay(home, given, **extra))
        up = "SELECT COUNT(*) FROM checks_checkstate WHERE health = 'up'"
        wanted = size + 1 + parent
        until(lambda: rows(program, up)[0][0] >= wanted, "all are up", within_s=120)
        items = until(lambda: program.api("GET", "/alerts?limit=50")["items"], "the alert aside", within_s=60)
        alert = next(int(item["id"]) for item in items if item["name"].startswith("aside/"))
        yield program, ports, receiver, keys, alert


def _apart(size: int, database: str) -> list[Line]:
    lines: list[Line] = []
    with _program(size, database, parent=False) as (program, ports, receiver, keys, alert):
        for name, delay_s in (("fast receiver", 0.0), ("slow receiver", SLOW_S)):
            receiver.delay_s = delay_s
            where = f"{size:,} down, {database}, {name}"
            lines += _storm(where, size, (program, ports, receiver, keys, alert), slow=bool(delay_s))
    return lines


def _storm(
    where: str, size: int, given: tuple[Program, Ports, Receiver, list[str], int], *, slow: bool
) -> Iterator[Line]:
    program, ports, receiver, keys, alert = given
    with meanwhile(program, alert, keys) as asked:
        cpu, begin = _pinged(program)
        ports.fail("/storm")
        wait(begin + LASTS_S)
        verdicts = {name: at for name, at in _verdicts(program, begin, "down").items() if name.startswith("s")}
        fired = Told.of(receiver, begin, "firing")
        ports.fail()
        back = time.time()
        grave_s = float("nan")
        if slow:  # what fails last must not queue behind what is over
            ports.fail("/lone")
            if _happens(lambda: "lone" in Told.of(receiver, back, "firing").named, within_s=120):
                heard = Told.of(receiver, back, "firing").named["lone"]
                grave_s = heard - _verdicts(program, back, "down")["lone"]
            ports.fail()
        quiet_s = _until_quiet(program)
    first = sorted(verdicts.values())[:FIRST]
    reached = sorted(fired.named.values())[:FIRST]
    late = [got - due for got, due in zip(reached, first, strict=False)]
    last_s = fired.all_by(size) - max(verdicts.values(), default=float("nan"))
    spent = sum(cpu.used_s().values())
    posts = sum(page.at >= begin for page in receiver.pages)
    yield Figure(f"{where}: verdicts", len(verdicts), "", Aim(size - 1, most=False))
    if not slow:
        yield Figure("  first 100 pages, from their verdict, most", max(late, default=float("nan")), "s", Aim(10))
        yield Figure("  all told, after the last verdict", last_s, "s", Aim(LAST_MOST_S) if size <= 2_000 else None)
    else:
        yield Figure("  a critical page after it, from its verdict", grave_s, "s", Aim(GRAVE_MOST_S))
    yield Figure("  nothing waits any more, after it was over", quiet_s, "s")
    yield Figure("  messages to the receiver", posts, "")
    yield from _beside(asked, program, begin)
    yield Figure("  CPU of all processes, both ways", spent, "s")


def _with_parent(size: int, database: str) -> Iterator[Line]:
    with _program(size, database, parent=True) as given:
        program, ports, receiver, keys, alert = given
        with meanwhile(program, alert, keys) as asked:
            cpu, begin = _pinged(program)
            ports.fail("/storm")
            wait(begin + LASTS_S)
            ports.fail()
            back = time.time()
            down = sum(name.startswith("s") for name in _verdicts(program, begin, "down"))
            quiet_s = _until_quiet(program)
        told = Told.of(receiver, begin, "firing")
        cause_s = told.named.get("gateway", float("nan")) - begin
        yield Figure(f"{size:,} that need one, {database}: verdicts", down, "", Aim(size - 1, most=False))
        yield Figure("  the page of the one, after the beginning", cause_s, "s", Aim(FIRST_MOST_S + EVERY_S))
        yield Figure("  pages of the others", max(0, *(known for _, known in told.known)) - 1, "", Aim(1))
        yield Figure("  nothing waits any more, after it was over", quiet_s, "s")
        yield from _beside(asked, program, begin)
        yield Figure("  CPU of all processes, both ways", sum(cpu.used_s().values()), "s")
        assert back > begin


def _pinged(program: Program) -> tuple[Cpu, float]:
    """Wait until all heartbeats are up and begin to count: what was missing before its first ping was missing."""
    up = "SELECT COUNT(*) FROM checks_checkstate JOIN checks_check ON checks_check.id = checks_checkstate.check_ref_id"
    up += " WHERE kind = 'heartbeat' AND health = 'up'"
    until(lambda: rows(program, up)[0][0] >= HEARTBEATS, "all heartbeats are up", within_s=60)
    return Cpu(program), time.time()


def _beside(asked: Mapping[str, Asked], program: Program, begin: float) -> Iterator[Line]:
    for name, title in (("write", "acknowledgement"), ("ping", "ping")):
        yield Figure(f"  longest {title}, of {asked[name].count}", asked[name].most_s, "s", Aim(WRITE_MOST_S))
        note = asked[name].refused[0] if asked[name].refused else ""
        yield Figure(f"  {title}s refused", len(asked[name].refused), "", Aim(1), note=note)
    health = asked["health"]
    note = health.refused[0] if health.refused else ""
    yield Figure(f"  /healthz not 200, of {health.count}", len(health.refused), "", Aim(1), note=note)
    missed = [name for name in _verdicts(program, begin, "down") if name.startswith("job")]
    yield Figure("  heartbeats taken for missing", len(missed), "", Aim(1))


def _verdicts(program: Program, since: float, health: str) -> dict[str, float]:
    """Return check → when the probe began that changed it to `health`, since then."""
    found = rows(program, "SELECT subject_name, at, facts FROM journal_entry WHERE kind = 'check.changed'")
    out = {}
    for name, at, facts in found:
        changed = facts if isinstance(facts, dict) else json.loads(facts)
        if unix(at) >= since - 1 and changed["health"] == health:
            out[name.partition("/")[2]] = unix(at)
    return out


def _until_quiet(program: Program) -> float:
    """Wait until all are up, no alert of the storm is open and nothing waits to be sent; return how long it took,
    or not-a-number when it took more than five minutes."""
    begin = time.time()
    asked = (
        "SELECT COUNT(*) FROM delivery_delivery WHERE status IN ('queued', 'sending')",
        "SELECT COUNT(*) FROM alerts_alert WHERE ended_at IS NULL AND name NOT LIKE 'aside/%'",
        "SELECT COUNT(*) FROM checks_checkstate WHERE health <> 'up'",
    )
    most = (0, 0, 1)  # the one aside stays down
    quiet = _happens(
        lambda: all(rows(program, query)[0][0] <= number for query, number in zip(asked, most, strict=True)),
        within_s=300,
    )
    return time.time() - begin if quiet else float("nan")


def _happens(ask: Callable[[], object], *, within_s: float) -> bool:
    """Wait for something that may not come: then its figure says so."""
    try:
        until(ask, "it", within_s=within_s, every_s=0.5)
    except AssertionError:
        return False
    return True


def wait(until_at: float) -> None:
    """Let the storm last."""
    threading.Event().wait(max(0.0, until_at - time.time()))
