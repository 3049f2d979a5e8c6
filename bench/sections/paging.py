"""From the target's failure to the receiver having the page: failures at random moments."""

import json
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from bench.figures import Aim, Figure, Line
from bench.machine import quantile
from bench.program import directory, mainstay, rows, unix
from tests.parts import Receiver, Target
from tests.program import Program, until

EVERY_S, FAIL_AFTER = 2.0, 2
ALLOWANCE_S = 1.0
FAILURES, QUICK_FAILURES = 200, 40
FAILURES_PER_S = 8.0
PER_CHANNEL = 10  # so that each is paged by itself: what many failures at once make of it, the section storms measures


def document(names: list[str], target: Target, receiver: Receiver) -> Mapping[str, Any]:
    """Return a configuration with one check per name, all of which page one receiver, a few by each channel."""
    checks = [
        {
            "name": name,
            "http": {"url": f"http://127.0.0.1:{target.port}/{name}"},
            "every": f"{EVERY_S:g}s",
            "timeout": "1s",
            "fail_after": FAIL_AFTER,
            "severity": "critical",
            "labels": {"lane": str(number // PER_CHANNEL)},
        }
        for number, name in enumerate(names)
    ]
    lanes = [str(lane) for lane in range(-(-len(names) // PER_CHANNEL))]
    url = f"http://127.0.0.1:{receiver.port}/hook"
    return {
        "applications": [{"name": "shop", "checks": checks}],
        "channels": [{"name": f"ops-{lane}", "webhook": {"url": url}} for lane in lanes],
        "routes": [{"name": f"to-{lane}", "match": {"lane": lane}, "notify": [f"ops-{lane}"]} for lane in lanes],
    }


def run(*, quick: bool) -> list[Line]:
    """Measure; less than a minute."""
    names = [f"check-{number}" for number in range(QUICK_FAILURES if quick else FAILURES)]
    target, receiver = Target(), Receiver()
    target.start()
    receiver.start()
    try:
        with directory() as home, mainstay(home, document(names, target, receiver)) as program:
            failed = _fail(program, names, target)
            within_s = EVERY_S * FAIL_AFTER + 30
            try:
                until(
                    lambda: len({page.alert for page in receiver.pages}) == len(names), "every page", within_s=within_s
                )
            except AssertionError:
                pass  # what is missing is counted below
            decided = _decided(program)
    finally:
        target.stop()
        receiver.stop()
    pages: dict[str, float] = {}
    for page in receiver.pages:
        pages.setdefault(page.alert, page.at)
    waits = [pages[name] - failed[name] for name in names if name in pages]
    own = [(pages[name] - decided[name]) * 1000 for name in names if name in pages and name in decided]
    return [
        Figure("failure to page, p50", quantile(waits, 0.5), "s"),
        Figure("failure to page, p99", quantile(waits, 0.99), "s", Aim(EVERY_S * FAIL_AFTER + ALLOWANCE_S)),
        Figure("start of the probe that decides to page, p50", quantile(own, 0.5), "ms"),
        Figure("start of the probe that decides to page, p99", quantile(own, 0.99), "ms", Aim(ALLOWANCE_S * 1000)),
        Figure("pages that did not come", len(names) - len(pages), "", Aim(1)),
        Figure("pages that came twice", len(receiver.pages) - len(pages), "", Aim(1)),
    ]


def _fail(program: Program, names: list[str], target: Target) -> dict[str, float]:
    """Let each check's target fail at a random moment; return when (unix seconds)."""
    up = "SELECT COUNT(*) FROM checks_checkstate WHERE health = 'up'"
    until(lambda: rows(program, up)[0][0] == len(names), "all are up", within_s=30)
    chance = random.Random(1)
    moments = sorted(chance.uniform(0, len(names) / FAILURES_PER_S) for _ in names)
    begin, failed, pause = time.time(), {}, threading.Event()
    for name, moment in zip(names, moments, strict=True):
        pause.wait(max(0.0, begin + moment - time.time()))
        failed[name] = time.time()
        target.down = target.down | {name}
    return failed


def _decided(program: Program) -> dict[str, float]:
    """Return check → when the probe began whose failure was the last one needed."""
    query = "SELECT subject_name, at, facts FROM journal_entry WHERE kind = 'check.changed'"
    found = rows(program, query)
    return {name.partition("/")[2]: unix(at) for name, at, facts in found if json.loads(facts)["health"] == "down"}
