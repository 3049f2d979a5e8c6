"""Switch faults of a running shop: `python -m examples.shop.fault NAME [VALUE]`, `clear`, or nothing to list them."""

import argparse
import http.client
import json
import sys
import urllib.error
import urllib.request
from typing import Any

from examples.shop.faults import FAULTS

TIMEOUT_S = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the shop refused or cannot be reached, 2 wrong usage."""
    options = _options(arguments)
    url = f"http://127.0.0.1:{options.port}/faults"
    try:
        report = _call(url, _change(options.name, options.value))
    except urllib.error.HTTPError as refusal:
        with refusal:
            print(f"The shop refused: {json.load(refusal)['detail']}", file=sys.stderr)
        return 1
    except (OSError, http.client.HTTPException) as problem:
        if options.name == "crash" and isinstance(problem, ConnectionResetError | http.client.RemoteDisconnected):
            print("The shop has crashed.")
            return 0
        print(f"No shop answers at {url}: {problem}. Is it running? Is --port right?", file=sys.stderr)
        return 1
    for name, switch in report["faults"].items():
        print(f"{name:16} {'on ' if switch['active'] else 'off'} {switch['value']:>8g}  {switch['unit']}")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    faults = "\n".join(f"  {name:16} {fault.does} ({fault.unit})" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m examples.shop.fault",
        description="Switch faults of the running shop on and off. Without a name: show them.",
        epilog=f"faults:\n{faults}\n  {'clear':16} switches all off",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=[*FAULTS, "clear"], metavar="NAME", help="which fault, or 'clear'")
    parser.add_argument("value", nargs="?", metavar="VALUE", help="a number, 'on' or 'off'; without it: on")
    parser.add_argument("--port", type=int, default=9001, help="where the shop listens (default 9001)")
    return parser.parse_args(arguments)


def _change(name: str | None, value: str | None) -> dict[str, object] | None:
    if name is None:
        return None
    known: dict[str | None, object] = {None: True, "on": True, "off": False}
    try:
        return {name: known[value] if value in known else float(value or "")}
    except ValueError:
        return {name: value}  # the shop knows what would be right, and says so


def _call(url: str, change: dict[str, object] | None) -> dict[str, dict[str, Any]]:
    data = None if change is None else json.dumps(change).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        report: dict[str, dict[str, Any]] = json.load(answer)
    return report


if __name__ == "__main__":
    sys.exit(main())
