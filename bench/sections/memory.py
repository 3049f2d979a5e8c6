"""Memory of the whole program at 1,000 HTTP checks every 60 s, while somebody looks at pages."""

import json
import time
import urllib.error
import urllib.request

from bench.figures import Aim, Figure, Line, elsewhere
from bench.machine import Memory, memory
from bench.program import directory, inside, mainstay, target
from bench.sections.checks import Size, document
from tests.program import Program

SIZE = Size(1_000, 60.0, 1)
RUNS_S, QUICK_RUNS_S = 60.0, 15.0
VIEW_EVERY_S = 1.0
PATHS = ("/", "/applications/", "/checks/", "/alerts/", "/journal/", "/healthz", "/api/v1/checks")


def run(*, quick: bool) -> list[Line]:
    """Measure; one minute and a half, `quick` half a minute."""
    with directory() as home, target() as ports, mainstay(home, document(ports, SIZE)) as program:
        cookie = json.loads(inside("session", program))
        give_up = time.monotonic() + (QUICK_RUNS_S if quick else RUNS_S)
        viewed: dict[str, int] = {}
        while time.monotonic() < give_up:
            for path in PATHS:
                viewed[path] = _view(program, path, cookie)
            time.sleep(VIEW_EVERY_S)
        assert program.process is not None
        pids = {"supervisor": program.process.pid, **program.children()}
        found = {role: memory(pid) for role, pid in pids.items()}
    missing = ", ".join(path for path, status in viewed.items() if status != 200)
    note = f"pages that did not answer 200: {missing}" if missing else ""
    return [*_lines(found, note)]


def _lines(found: dict[str, Memory], note: str) -> list[Line]:
    pss = sum(each.pss for each in found.values())
    peers = (elsewhere("kuma-memory"), elsewhere("idle-memory"))
    return [
        Figure("memory of all processes (PSS)", pss, "MiB", Aim(300 * 1e6 / 2**20), peers, note=note),
        Figure("... of which pages of files", sum(each.file for each in found.values()), "MiB"),
        Figure(
            "memory of all processes (RSS, shared pages counted again)", sum(each.rss for each in found.values()), "MiB"
        ),
        *(Figure(f"... {role} (PSS)", each.pss, "MiB") for role, each in found.items()),
    ]


def _view(program: Program, path: str, cookie: dict[str, str]) -> int:
    request = urllib.request.Request(f"{program.url}{path}")
    request.add_header("Cookie", f"{cookie['name']}={cookie['value']}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
