"""`mainstay status`: what is wrong now. Exit status 0 when nothing is, 1 when something is."""

import argparse
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from mainstay.foundation.clock import now
from mainstay.foundation.processes import notices
from mainstay.foundation.processes.beat import health
from mainstay.foundation.terminal import Paint, example, moment, plainly, say, say_json, shortened
from mainstay.observe.checks.decide import Status
from mainstay.observe.checks.models import CheckState
from mainstay.observe.checks.standing import all_labels, shown, windows
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.pages.listing import gravest_first
from mainstay.respond.delivery.models import Delivery

DELIVERY_IS_LATE_AFTER = timedelta(seconds=30)
LINES = 50
_WRONG = {Status.DOWN, Status.DEGRADED, Status.UNREACHABLE}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the status."""

    wrong: bool
    name: str
    state: str
    detail: str
    since: datetime | None = None

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        since = moment(self.since) if self.since else None
        return {"name": self.name, "state": self.state, "detail": self.detail, "since": since, "wrong": self.wrong}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="for a program")
    example(parser, ["mainstay status", "mainstay status --json"])


@plainly
def run(args: argparse.Namespace) -> int:
    """Tell what is wrong."""
    at = now()
    found = {
        "processes": processes(at),
        "notices": told(at),
        "alerts": alerts(),
        "checks": checks(at),
        "deliveries": deliveries(at),
    }
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


def alerts() -> list[Finding]:
    """Return the open alerts, causes and the gravest first; one that somebody has is still open."""
    rows = gravest_first(Alert.objects.filter(ended_at=None))
    return [
        Finding(
            True,
            row.name,
            row.severity,
            _stands(row),
            row.started_at,
        )
        for row in rows
    ]


def _stands(alert: Alert) -> str:
    if alert.acknowledged_at:
        return f"{alert.acknowledged_by} has it"
    if alert.paged_at or not alert.reason:
        return alert.summary
    return f"not paged: {alert.reason}. {alert.summary}"


def checks(at: datetime) -> list[Finding]:
    """Return the checks that are not up. Pauses and maintenance are somebody's wish, so they are not wrong."""
    rows = CheckState.objects.filter(~Q(check_ref=None)).select_related(
        "check_ref__application", "check_ref__environment", "check_ref__component", "blocked_by__application"
    )
    covers = windows()
    found = []
    for state in rows.order_by("check_ref__application__name", "check_ref__name"):
        check = state.check_ref
        seen = shown(check, state, covers, at, all_labels(check))
        if seen.status is not Status.UP:
            overdue = seen.status is Status.UNKNOWN and bool(seen.reason)
            reason = seen.reason or "no result yet"
            found.append(Finding(seen.status in _WRONG or overdue, str(check), seen.status.value, reason, state.since))
    return found


def deliveries(at: datetime) -> list[Finding]:
    """Return the messages that wait for longer than a send takes, per channel."""
    waiting: dict[str, list[Delivery]] = {}
    for row in Delivery.objects.filter(status__in=("queued", "sending")).order_by("id"):
        if row.attempts or at - row.created_at > DELIVERY_IS_LATE_AFTER:
            waiting.setdefault(row.channel_name, []).append(row)
    return [
        Finding(
            True,
            channel,
            f"{len(rows)} waiting",
            next((row.answer for row in rows if row.answer), "not sent yet"),
            rows[0].created_at,
        )
        for channel, rows in waiting.items()
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
