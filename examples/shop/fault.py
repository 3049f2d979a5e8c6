"""Switch faults of a running shop: `python -m examples.shop.fault NAME [VALUE]`, `clear`, or nothing to list them."""

import argparse
import http.client
import json
import sys
import urllib.error
import urllib.request

from examples.shop.faults import FAULTS

TIMEOUT_S = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the shop refused or cannot be reached, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    url = f"http://{options.host}:{options.port}/faults"
    try:
        report = _call(url, _change(options.name, options.value))
    except urllib.error.HTTPError as refusal:
        with refusal:
            print(f"The shop refused: {_detail(refusal.read())}", file=sys.stderr)
        return 1
    except (OSError, http.client.HTTPException) as problem:
        if options.name == "crash" and isinstance(problem, ConnectionResetError | http.client.RemoteDisconnected):
            print("The shop has crashed.")
            return 0
        print(f"No shop answers at {url}: {problem}. Is it running? Is --port right?", file=sys.stderr)
        return 1
    print(_table(report))
    return 0


def _parser() -> argparse.ArgumentParser:
    faults = "\n".join(f"  {name:16} {fault.does} ({fault.unit})" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m examples.shop.fault",
        description="Switch faults of the running shop on and off. Without a name: show them.",
        epilog=f"faults:\n{faults}\n  {'clear':16} switches all off",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=[*FAULTS, "clear"], metavar="NAME", help="which fault, or 'clear'")
    parser.add_argument("value", nargs="?", metavar="VALUE", help="a number, 'on' or 'off'; without it: on")
    parser.add_argument("--host", default="127.0.0.1", help="where the shop listens (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=9001, help="where the shop listens (default 9001)")
    return parser


def _change(name: str | None, value: str | None) -> dict[str, object] | None:
    if name is None:
        return None
    if value is None or value == "on":
        return {name: True}
    if value == "off":
        return {name: False}
    try:
        return {name: float(value)}
    except ValueError:
        return {name: value}  # the shop knows what would be right, and says so


def _call(url: str, change: dict[str, object] | None) -> object:
    request = urllib.request.Request(
        url,
        data=None if change is None else json.dumps(change).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        report: object = json.load(answer)
    return report


def _table(report: object) -> str:
    switches = report.get("faults", {}) if isinstance(report, dict) else {}
    return "\n".join(
        f"{name:16} {'on ' if switch['active'] else 'off'} {switch['value']:>8g}  {switch['unit']}"
        for name, switch in switches.items()
    )


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
