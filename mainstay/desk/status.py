"""`mainstay status`: what is wrong now. Exit status 0 when nothing is, 1 when something is."""

import argparse
import sys
from datetime import datetime

from mainstay.foundation.clock import now
from mainstay.foundation.parts import Finding
from mainstay.foundation.processes import notices
from mainstay.foundation.processes.beat import health
from mainstay.foundation.terminal import Paint, example, moment, plainly, say, say_json, shortened
from mainstay.kit.regions import ask
from mainstay.wings import WINGS

LINES = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="for a program")
    example(parser, ["mainstay status", "mainstay status --json"])


def _unknown(name: str) -> Finding:
    return Finding(True, name, "unknown", "this part of Mainstay could not be asked; its log says why")


@plainly
def run(args: argparse.Namespace) -> int:
    """Tell what is wrong."""
    at = now()
    found = {"processes": processes(at), "notices": told(at)}
    for report in sorted((report for wing in WINGS for report in wing.reports), key=lambda report: report.at):
        found[report.name] = list(ask(report.find, at, of=Finding, otherwise=(_unknown(report.name),)))
    wrong = any(finding.wrong for findings in found.values() for finding in findings)
    if args.json:
        parts = {name: [finding.document() for finding in findings] for name, findings in found.items()}
        say_json({"status": "wrong" if wrong else "fine", "at": moment(at), **parts})
    else:
        _tell(found, wrong=wrong)
    return 1 if wrong else 0


def processes(at: datetime) -> list[Finding]:
    """Return the three roles; a role without a process is wrong."""
    details = {
        "ok": "{count} running, {lag_s:g} s behind",
        "late": "{lag_s:g} s behind; is the machine overloaded?",
        "missing": "no sign of life; if Mainstay does not run, start it: mainstay up; else its log says more",
    }
    return [
        Finding(one.status != "ok", role, one.status, details[one.status].format(count=one.count, lag_s=one.lag_s))
        for role, one in health(at).items()
    ]


def told(at: datetime) -> list[Finding]:
    """Return what Mainstay has to say about itself."""
    return [
        Finding(one.grave, one.title.rstrip("."), "grave" if one.grave else "warning", one.detail, one.begun)
        for one in notices.current(at)
    ]


def _tell(found: dict[str, list[Finding]], *, wrong: bool) -> None:
    paint = Paint(sys.stdout)
    for name, findings in found.items():
        shown_now = findings if name != "checks" else sorted(findings, key=lambda finding: not finding.wrong)
        if not shown_now:
            continue
        say(paint(name.capitalize(), "bold"))
        for finding in shown_now[:LINES]:
            sign, colour = ("✗", "red") if finding.wrong else ("✓", "green") if finding.state == "ok" else ("–", "dim")
            since = f", since {moment(finding.since)}" if finding.since else ""
            # A notice ends with how to mend it.
            detail = f". {shortened(finding.detail, 600 if name == 'notices' else 160)}" if finding.detail else ""
            say(f"  {paint(sign, colour)} {shortened(finding.name)}: {finding.state}{since}{detail}")
        if len(shown_now) > LINES:
            say(f"  … and {len(shown_now) - LINES} more")
    if wrong:
        say(paint("Something is wrong.", "red"))
    elif found["notices"]:
        say(paint("Nothing is wrong, but see the notices.", "green"))
    else:
        say(paint("All is well.", "green"))
