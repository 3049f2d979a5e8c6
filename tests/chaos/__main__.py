"""`python -m tests.chaos [--minutes 10] [--database postgresql] [--seed 1]`: ten minutes of everything going wrong.

500 checks, 50 rules and 30 heartbeats run. Some of them break and are mended all the while; meanwhile one fault after
another is done to the program (`faults.py`). At the end all faults are lifted, nobody touches anything, and a last
outage must page as on a quiet day. Needs root (a small file system of its own) and half a gigabyte of memory.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.ledger import judge
from tests.chaos.world import BEATS, CHECKS, RULES, World

PAGED_WITHIN_S = 240.0  # a fault lasts up to 45 s, and the next one may begin at once
SLACK_S = 300.0
QUIET_WITHIN_S = 150.0


def main() -> int:
    """Run; exit status 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where to keep the program's log")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    home = Path(tempfile.mkdtemp(prefix="mscx"))
    world = World(home, options.database)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    try:
        return _run(world, chance, options.minutes * 60)
    finally:
        if options.keep:
            shutil.copy(world.outside / "log", options.keep)
        world.close()


def _run(world: World, chance: random.Random, lasts_s: float) -> int:
    world.start()
    say(f"{CHECKS} checks, {RULES} rules, {BEATS} heartbeats on {world.database}; {lasts_s / 60:g} minutes of faults")
    time.sleep(20)
    stop, done = threading.Event(), Counter[str]()
    breaker = threading.Thread(target=_break_and_mend, args=(world, random.Random(chance.random()), stop))
    tender = threading.Thread(target=_tend, args=(world, stop), daemon=True)
    breaker.start()
    tender.start()
    ends = time.monotonic() + lasts_s
    while time.monotonic() < ends:
        fault = chance.choice(FAULTS[world.database])
        with fault(world, chance) as told:
            say(told)
            done[fault.__name__] += 1
        time.sleep(chance.uniform(2, 10))
    say(f"{sum(done.values())} faults: {dict(done)}")
    stop.set()
    breaker.join()
    by_itself = _is_well(world)
    final = world.break_({*(f"c{n}" for n in range(0, 100, 5)), *(f"Bad{n}" for n in range(5)), "job0", "job1"})
    _told_of(world, {one.subject for one in final}, firing=True, since=final[0].began, within_s=PAGED_WITHIN_S)
    world.mend(final)
    _told_of(world, {one.subject for one in final}, firing=False, since=time.time(), within_s=PAGED_WITHIN_S)
    ends_well = _is_well(world) and by_itself
    return _judge(world, final_began=final[0].began, ends_well=ends_well)


def _judge(world: World, *, final_began: float, ends_well: bool) -> int:
    ours = {f"c{n}" for n in range(CHECKS)} | {f"Bad{n}" for n in range(RULES)} | set(world.pinger.keys)
    tellings = world.tellings()
    found = judge(world.outages, [one for one in tellings if one.subject in ours], SLACK_S)
    others = Counter(one.subject for one in tellings if one.subject not in ours and one.firing)
    waits = sorted(found.waits_s)
    last = judge([one for one in world.outages if one.began >= final_began], tellings, SLACK_S)
    say(f"outages {found.outages}, messages {len(world.receiver.pages)}, repeated with the same key {found.repeated}")
    say(f"lost {len(found.lost)}, never resolved {len(found.unresolved)}, false {len(found.false)}, "
        f"under two threads {len(found.twice)}")  # fmt: skip
    if waits:
        say(f"from the outage to the page: median {waits[len(waits) // 2]:.1f} s, most {waits[-1]:.1f} s; "
            f"on the quiet end most {max(last.waits_s, default=float('nan')):.1f} s")  # fmt: skip
    say(f"pings unanswered after three tries: {world.pinger.unanswered}; pages about Mainstay itself: {dict(others)}")
    for kind in ("lost", "unresolved", "false", "twice"):
        for line in getattr(found, kind)[:20]:
            say(f"  {kind}: {line}")
    try:
        say("journal verify: " + world.program.command("journal", "verify").strip().splitlines()[-1])
    except AssertionError as error:
        say(f"journal verify: {error}")
        ends_well = False
    say("everything runs by itself afterwards" if ends_well else "NOT everything runs by itself afterwards")
    return 0 if found.sound and ends_well else 1


def _break_and_mend(world: World, chance: random.Random, stop: threading.Event) -> None:
    while not stop.is_set():
        subjects = {f"c{n}" for n in chance.sample(range(CHECKS), chance.randint(3, 40))}
        subjects |= {f"Bad{n}" for n in chance.sample(range(RULES), chance.randint(0, 4))}
        subjects |= {f"job{n}" for n in chance.sample(range(BEATS), chance.randint(0, 2))}
        begun = world.break_(subjects)
        _told_of(world, subjects, firing=True, since=begun[0].began, within_s=PAGED_WITHIN_S)
        time.sleep(chance.uniform(0, 5))
        world.mend(begun)
        _told_of(world, subjects, firing=False, since=time.time(), within_s=PAGED_WITHIN_S)
        stop.wait(chance.uniform(2, 10))


def _told_of(world: World, subjects: set[str], *, firing: bool, since: float, within_s: float) -> None:
    """Wait until the receiver was told of all of them; what does not come in time is found by the judgement."""
    give_up = time.monotonic() + within_s
    while time.monotonic() < give_up:
        told = {one.subject for one in world.tellings() if one.firing == firing and one.at >= since}
        if subjects <= told:
            return
        time.sleep(0.5)


def _tend(world: World, stop: threading.Event) -> None:
    while not stop.wait(2.0):
        world.tend()


def _is_well(world: World) -> bool:
    """Wait until the program says that it is well, for ten seconds on end."""
    give_up, since = time.monotonic() + QUIET_WITHIN_S, None
    while time.monotonic() < give_up:
        try:
            fine = world.program.healthy()
        except AssertionError:
            world.tend()
            fine = False
        since = (since or time.monotonic()) if fine else None
        if since is not None and time.monotonic() - since > 10:
            return True
        time.sleep(0.5)
    return False


def say(text: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
