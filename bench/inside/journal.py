"""Writes, seals and verifies N facts, and prints how many per second: `python -m bench.inside.journal N`."""

import json
import sys
import time
from collections.abc import Callable

from django.db import transaction

import bench.inside  # noqa: F401  # sets Django up
from mainstay.foundation.accounts.actor import program
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.seal import seal_once, verify
from mainstay.foundation.journal.write import Subject, write
from mainstay.observe.checks.facts import CHECK_SETTLED

GROUP = 100
ACTOR = program("monitor")
SINGLE_S = 5.0


def main() -> None:
    """Do it in this order, since each needs what the one before made."""
    total = int(sys.argv[1])
    written = 0

    def one() -> None:
        nonlocal written
        written += 1
        write(CHECK_SETTLED, Subject("check", written % 5_000, "shop/storefront", 1), ACTOR, now())

    give_up, begin = time.monotonic() + SINGLE_S, time.monotonic()
    while time.monotonic() < give_up:
        with transaction.atomic():
            one()
    single_per_s = written / (time.monotonic() - begin)
    before, begin = written, time.monotonic()
    while written < total:
        with transaction.atomic():
            for _ in range(GROUP):
                one()
    grouped_per_s = (written - before) / (time.monotonic() - begin)
    entries = Entry.objects.count()
    sealing_s = _timed(lambda: all(iter(lambda: seal_once(now()), 0)))
    begin = time.monotonic()
    found = verify()
    verifying_s = time.monotonic() - begin
    if found.problem or found.entries != entries:
        raise SystemExit(f"the journal is not what was written: {found}")
    note = f"{entries:,} facts in {found.seals} seals"
    figures = {"single_per_s": single_per_s, "grouped_per_s": grouped_per_s, "note": note}
    print(json.dumps(figures | {"sealed_per_s": entries / sealing_s, "verified_per_s": entries / verifying_s}))


def _timed(act: Callable[[], object]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


if __name__ == "__main__":
    main()
