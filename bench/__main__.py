"""`python -m bench [SECTION …] [--quick]`: measures, prints a table per section, writes output/bench.json."""

import argparse
import importlib
import json
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from bench.figures import Figure, Line, Skipped, table
from bench.machine import Noise, cores
from bench.program import OUTPUT

SECTIONS = {
    "start": "from nothing to the first result, and to the end",
    "seal": "the journal: writing, sealing, verifying",
    "store": "the embedded store of metrics: taking samples in, keeping and finding them",
    "checks": "HTTP checks, fresh connections, everything included",
    "pings": "durable heartbeat pings",
    "paging": "from a failure to the page",
    "storms": "thousands of checks down at once and back",
    "metrics": "samples, a round of 1,000 rules and queries, beside Prometheus",
    "memory": "1,000 checks every 60 s, pages viewed",
    "pages": "pages and API over 5,000 checks, 100,000 alerts, 1,000,000 journal entries",
}
MUCH_NOISE_CORES = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections. Exit status 0 when all could be measured, whether or not their aims were met; else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", metavar="SECTION", nargs="*", help=f"of {', '.join(SECTIONS)}; without any: all")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter; for trying, not for quoting")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    signal.signal(signal.SIGTERM, _interrupt)
    print(
        f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}{', quick' if options.quick else ''}"
    )
    document: dict[str, Any] = {"at": time.time(), "cores": cores(), "quick": options.quick, "sections": {}}
    status = 0
    for name in options.sections or SECTIONS:
        try:
            lines, noise = _measure(name, quick=options.quick)
        except KeyboardInterrupt:
            print("\ninterrupted; everything that was started has been stopped", file=sys.stderr)
            return 130
        if any(isinstance(line, Skipped) for line in lines):
            status = 1
        document["sections"][name] = {"noise_cores": noise, "figures": [_document(line) for line in lines]}
        _write(document)
    return status


def _measure(name: str, *, quick: bool) -> tuple[list[Line], float]:
    print(f"\n{name}: {SECTIONS[name]}", flush=True)
    noise, begin = Noise(), time.monotonic()
    lines: list[Line]
    try:
        lines = importlib.import_module(f"bench.sections.{name}").run(quick=quick)
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        # What one section cannot do must not cost the figures of the others.
        lines = [Skipped(name, f"{type(error).__name__}: {str(error)[-2000:]}")]
    busy = noise.cores()
    print(table(lines))
    warning = "; figures of CPU and time suffer from that" if busy > MUCH_NOISE_CORES else ""
    print(f"({time.monotonic() - begin:.0f} s; other programs kept {busy:.2f} cores busy{warning})", flush=True)
    return lines, busy


def _document(line: Line) -> dict[str, Any]:
    return line.document() if isinstance(line, Figure) else {"name": line.name, "skipped": line.why}


def _write(document: dict[str, Any]) -> None:
    OUTPUT.mkdir(exist_ok=True)
    half = OUTPUT / "bench.json.new"
    half.write_text(json.dumps(document, indent=1))
    half.replace(OUTPUT / "bench.json")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
