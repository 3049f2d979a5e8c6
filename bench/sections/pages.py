"""Pages and API over a large database, as a signed-in person's browser asks for them."""

import hashlib
import http.client
import inspect
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Aim, Figure, Line, Peer, Skipped, elsewhere
from bench.machine import cpu_s, quantile
from bench.program import EXPECT, OUTPUT, directory, inside, rows, stop, target, written
from tests.program import ROOT, Program

CHECKS, ALERTS, ENTRIES = 5_000, 100_000, 1_000_000
QUICK_CHECKS, QUICK_ALERTS, QUICK_ENTRIES = 1_500, 5_000, 50_000
LISTED = 1_000
DOWN_EVERY = 50  # one check in so many is down
TIMES, QUICK_TIMES, WARM = 30, 10, 3
SETTLED_S = 15.0
CACHE_LASTS_S = 20 * 3600.0
PLACEHOLDER = "http://127.0.0.1:1/"
SLOWEST, LISTED_IN = Aim(150.0), Aim(100.0)  # ms
SLOW_S = 15.0
NOT_MEASURED = (
    "/account/",  # sign-in and second factors: django-allauth's
    "/sign-in/",
    "/static/",
    "/metrics",
    "/api/v1/journal/verify",  # recomputes the whole chain: see the section seal
    "/api/v1/config/export",
)


def run(*, quick: bool) -> list[Line]:
    """Measure; three minutes and once two more for the database, `quick` half of that."""
    stock = _stock(quick=quick)
    with directory() as home, target() as ports:
        program = Program(home / "program")
        shutil.copytree(stock, program.home / "var")
        _aim_at(program, ports)
        try:
            program.start()
            cookie = json.loads(inside("session", program))
            token = program.command("token", "create", "--role", "admin", "--name", "bench").strip()
            time.sleep(3 if quick else SETTLED_S)
            return list(_measured(program, cookie, token, QUICK_TIMES if quick else TIMES))
        finally:
            stop(program)


# --- the database ----------------------------------------------------------------------------------------------------


def document(checks: int) -> Mapping[str, Any]:
    """Return the configuration: one application with 1,000 checks, the others with 100 each."""
    applications: list[dict[str, Any]] = []
    for number in range(checks):
        place = 0 if number < LISTED else 1 + (number - LISTED) // 100
        if place == len(applications):
            applications.append(
                {
                    "name": f"app-{place}",
                    "tier": "critical" if place % 3 == 0 else "standard",
                    "owner": f"team-{place % 5}",
                    "environments": [{"name": "production", "url": PLACEHOLDER}, {"name": "staging"}],
                    "components": [{"name": "storefront"}, {"name": "database"}],
                    "checks": [],
                }
            )
        path = f"down/{number}" if number % DOWN_EVERY == 0 else str(number)
        applications[place]["checks"].append(
            {
                "name": f"check-{number}",
                "environment": "production",
                "http": {"url": f"{PLACEHOLDER}{path}", "expect": EXPECT},
                "every": "60s",
                "severity": "critical",
                "labels": {"part": f"part-{number % 7}"},
            }
        )
    return {
        "teams": [{"name": f"team-{number}"} for number in range(5)],
        "applications": applications,
        "channels": [{"name": f"channel-{number}", "webhook": {"url": f"{PLACEHOLDER}hook"}} for number in range(5)],
        "routes": [{"name": "all", "match": {}, "notify": ["channel-0"]}],
    }


def _stock(*, quick: bool) -> Path:
    """Return a filled data directory: the one kept from an earlier run when it is fresh and of this schema."""
    checks, alerts, entries = (QUICK_CHECKS, QUICK_ALERTS, QUICK_ENTRIES) if quick else (CHECKS, ALERTS, ENTRIES)
    kept = OUTPUT / f"pages-{'quick' if quick else 'full'}-{_key()}"
    ready = kept / "ready"
    if ready.exists() and time.time() - ready.stat().st_mtime < CACHE_LASTS_S:
        return kept / "var"
    for old in OUTPUT.glob(f"pages-{'quick' if quick else 'full'}-*"):
        shutil.rmtree(old)
    print(f"filling a database with {checks:,} checks, {alerts:,} alerts, {entries:,} journal entries …", flush=True)
    program = Program(kept)
    program.command("prepare")
    program.command("apply", str(written(kept, document(checks))))
    inside("history", program, str(alerts), str(entries))
    ready.touch()
    return kept / "var"


def _key() -> str:
    """Return what changes with the schema, and with what is filled in."""
    files = [*sorted(ROOT.glob("mainstay/**/migrations/*.py")), ROOT / "bench" / "inside" / "history.py"]
    content = [*(file.read_bytes() for file in files), inspect.getsource(document).encode()]
    return hashlib.sha256(b"".join(content)).hexdigest()[:12]


def _aim_at(program: Program, ports: list[int]) -> None:
    """Let the checks watch the target of this run."""
    database = sqlite3.connect(program.home / "var" / "mainstay.sqlite3")
    try:
        with database:
            for column in ("config", "target"):
                database.execute(
                    f"UPDATE checks_check SET {column} = replace({column}, ?, ?)",
                    (PLACEHOLDER, f"http://127.0.0.1:{ports[0]}/"),
                )
    finally:
        database.close()


# --- what is asked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One address, whose cookie or token goes with it, and its aim."""

    name: str
    path: str
    headers: Mapping[str, str]
    aim: Aim = SLOWEST
    peers: tuple[Peer, ...] = ()


SEARCHES = (
    ("journal, one kind", "/journal/?kind=alert.paged"),
    ("journal, one application", "/journal/?application=1"),
    ("journal, one check", "/journal/?subject=check:7"),
    ("journal, a text that is rare", "/journal/?q=app-3"),
    ("journal, a text that is nowhere", "/journal/?q=nowhere"),
    ("alerts, resolved", "/alerts/?state=resolved"),
    ("checks, those down", "/checks/?status=down"),
    ("checks, by text", "/checks/?q=check-42"),
    ("checks, by uptime", "/checks/?sort=uptime"),
    ("find", "/find?q=check-42"),
)


def _asked(program: Program, cookie: Mapping[str, str], token: str) -> Iterator[Asked]:
    browser = {"Cookie": f"{cookie['name']}={cookie['value']}"}
    listed = (elsewhere("kuma-list"), elsewhere("healthchecks-page"))
    yield Asked(f"list of {LISTED:,} checks", "/checks/?application=app-0", browser, LISTED_IN, listed)
    for path in json.loads(inside("addresses", program)):
        if not path.startswith((*NOT_MEASURED, "/api/")) and not path.endswith("/test"):  # of a test delivery only
            yield Asked(path, path, browser)
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 30 * 86_400))
    middle = rows(program, "SELECT max(id) / 2 FROM journal_entry")[0][0]
    one_day, in_the_middle = f"/journal/?since={day}&until={day}", f"/journal/?before={middle}"
    for name, path in (*SEARCHES, ("journal, one day", one_day), ("journal, in the middle", in_the_middle)):
        yield Asked(name, path, browser)
    bearer = {"Authorization": f"Bearer {token}"}
    for path in _api_lists(program, bearer):
        if not path.startswith(NOT_MEASURED):
            yield Asked(path, path, bearer)


def _api_lists(program: Program, bearer: Mapping[str, str]) -> list[str]:
    """Return the addresses of the API that take no number or name: its lists."""
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=30)
    status, body = _get(connection, "/api/v1/openapi.json", bearer)
    connection.close()
    if status != 200:
        return []
    paths: dict[str, dict[str, Any]] = json.loads(body)["paths"]
    return [path for path, operations in paths.items() if "get" in operations and "{" not in path]


def _measured(program: Program, cookie: Mapping[str, str], token: str, times: int) -> Iterator[Line]:
    web, only_post = program.children()["web"], 0
    for asked in _asked(program, cookie, token):
        found = _ask(program.port, web, asked, times)
        if isinstance(found, int):
            if found == 405:
                only_post += 1
            else:
                yield Skipped(f"{asked.name}, p95", f"it answers {found}")
        else:
            yield found
    yield Figure("addresses that take POST only, not measured", only_post, "")


def _ask(port: int, web: int, asked: Asked, times: int) -> Figure | int:
    """Ask `times`, one after another on one connection; return the figure, or a status that is not 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    took: list[float] = []
    size, cpu = 0, 0.0
    for number in range(times + WARM):
        if number == WARM:
            cpu = cpu_s(web)
        begin = time.perf_counter()
        status, body = _get(connection, asked.path, asked.headers)
        if status != 200:
            return status
        if number >= WARM:
            took.append((time.perf_counter() - begin) * 1000)
        size = len(body)
        if sum(took) > SLOW_S * 1000:
            break  # one that is so slow is known after a few
    connection.close()
    each_ms = (cpu_s(web) - cpu) / len(took) * 1000
    note = f"p50 {quantile(took, 0.5):.0f} ms, CPU {each_ms:.0f} ms, {size / 1000:,.0f} kB"
    return Figure(f"{asked.name}, p95", quantile(took, 0.95), "ms", asked.aim, asked.peers, note=note)


def _get(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    connection.request("GET", path, headers=dict(headers))
    answer = connection.getresponse()
    return answer.status, answer.read()
