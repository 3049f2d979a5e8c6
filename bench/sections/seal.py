"""The journal: facts written per second, sealed per second, verified per second."""

import json

from bench.figures import Figure, Line
from bench.program import directory, inside
from tests.program import Program

FACTS, QUICK_FACTS = 200_000, 20_000


def run(*, quick: bool) -> list[Line]:
    """Measure; less than a minute."""
    with directory() as home:
        program = Program(home)
        program.command("prepare")
        found = json.loads(inside("journal", program, str(QUICK_FACTS if quick else FACTS)))
    return [
        Figure("facts written per second, each in a transaction of its own", found["single_per_s"], "/s", higher=True),
        Figure("facts written per second, 100 in a transaction", found["grouped_per_s"], "/s", higher=True),
        Figure("facts sealed per second", found["sealed_per_s"], "/s", higher=True),
        Figure("facts verified per second", found["verified_per_s"], "/s", higher=True, note=found["note"]),
    ]
