"""`mainstay journal`: verify the chain of facts, show them, export them."""

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db.models import Q, QuerySet

from mainstay.foundation.clock import now
from mainstay.foundation.journal import heads
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.seal import verify
from mainstay.foundation.terminal import Paint, clean, example, fail, moment, plainly, say, say_json

SHOWN = 50
CHUNK = 2_000
COLUMNS = (
    "id",
    "at",
    "kind",
    "subject",
    "subject_name",
    "application",
    "actor",
    "actor_name",
    "facts",
    "sentence",
    "sealed",
)
_AGO = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 10080}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `verify`, `show` and `export`."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    check = acts.add_parser("verify", help="prove that no entry was altered, removed, put in or reordered")
    check.add_argument("--head", metavar="HEX", type=head, help="a head noted earlier; it must still be in the chain")
    check.add_argument(
        "--since", metavar="SEAL", type=_seal, default=0, help="only what follows this seal, verified earlier"
    )
    check.add_argument("--json", action="store_true", help="for a program")
    example(check, ["mainstay journal verify", "mainstay journal verify --head 3f9a…"])
    show = acts.add_parser("show", help="print the newest entries, the newest last")
    _filters(show)
    show.add_argument("--limit", metavar="N", type=_number, default=SHOWN, help=f"how many; default {SHOWN}")
    show.add_argument("--json", action="store_true", help="one JSON document per line")
    example(show, ["mainstay journal show --kind alert --since 24h", "mainstay journal show --subject check:12"])
    export = acts.add_parser("export", help="print all entries, the oldest first")
    _filters(export)
    export.add_argument(
        "--format", choices=("jsonl", "csv"), default="jsonl", help="default: jsonl, one JSON document per line"
    )
    example(export, ["mainstay journal export --format csv --since 2026-01-01 > journal.csv"])
    example(parser, ["mainstay journal verify", "mainstay journal show --since 24h"])


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subject", help="what they are about: check:12, or its name: shop/storefront")
    parser.add_argument("--kind", help="a kind, or its beginning: alert.paged, alert")
    parser.add_argument(
        "--since", metavar="TIME", type=time_of, help="2026-08-01, 2026-08-01T22:00Z, or how long ago: 24h, 7d"
    )
    parser.add_argument(
        "--until", metavar="TIME", type=time_of, help="the same; entries of that instant are not included"
    )


@plainly
def run(args: argparse.Namespace) -> int:
    """Do what is asked; `verify` has exit status 1 when the chain does not hold."""
    match args.act:
        case "verify":
            return _verify(args.head or "", args.since, as_json=args.json)
        case "show":
            newest = list(_entries(args).order_by("-id")[: args.limit])
            _show(reversed(newest), as_json=args.json)
        case "export":
            _export(_entries(args).order_by("id").iterator(chunk_size=CHUNK), args.format)
    return 0


def head(text: str) -> str:
    """Return a head as the seals have it."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError("a head is 64 hexadecimal digits, as `mainstay journal verify` prints it")
    return text.lower()


def time_of(text: str) -> datetime:
    """Return the time that a date, a time or a span (so long ago) stands for; UTC unless it says otherwise."""
    if found := _AGO.fullmatch(text):
        return now() - timedelta(minutes=int(found[1]) * _MINUTES[found[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        hint = "write for example 2026-08-01, 2026-08-01T22:00+02:00, 24h or 7d"
        raise argparse.ArgumentTypeError(f"{text!r} is no time: {hint}") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _seal(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise argparse.ArgumentTypeError("give the number of a seal, as `mainstay journal verify` prints it")
    return int(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 100_000):
        raise argparse.ArgumentTypeError("give a number from 1 to 100000; for more there is `mainstay journal export`")
    return int(text)


def _entries(args: argparse.Namespace) -> QuerySet[Entry]:
    rows = Entry.objects.all()
    if args.subject:
        rows = rows.filter(Q(subject=args.subject) | Q(subject_name=args.subject))
    if args.kind:
        rows = rows.filter(Q(kind=args.kind) | Q(kind__startswith=f"{args.kind.rstrip('.')}."))
    if args.since:
        rows = rows.filter(at__gte=args.since)
    return rows.filter(at__lt=args.until) if args.until else rows


def _verify(expected: str, since: int, *, as_json: bool) -> int:
    file = settings.ENVIRONMENT.home / heads.NAME
    noted = heads.noted(file, since)
    found = verify(expected, noted=noted, since=since)
    if as_json:
        say_json(
            {
                "intact": not found.problem,
                "problem": found.problem,
                "entry": found.entry,
                "findings": [asdict(one) for one in found.findings],
                "found": found.found,
                "since": found.since,
                "entries": found.entries,
                "seals": found.seals,
                "unsealed": found.unsealed,
                "gaps": found.gaps,
                "head": found.head,
                "head_seal": found.head_seal,
            }
        )
        return 1 if found.problem else 0
    if found.problem:
        for one in found.findings[1:]:
            sys.stderr.write(f"  {one.problem}\n")
        if found.found > len(found.findings):
            sys.stderr.write(f"  and {found.found - len(found.findings)} more\n")
        if any(head in one.problem for one in found.findings for head in noted):
            sys.stderr.write(
                f"  The worker noted that head in {file}. If you restored an older copy of the database on purpose,"
                " remove its line there.\n"
            )
        return fail(f"the journal does not hold: {found.problem}. {found.entries} sealed entries are as they were.")
    after = f" after seal {since}" if since else ""
    unsealed = f" {found.unsealed} wait for their seal, which the worker sets every second." if found.unsealed else ""
    say(f"The journal holds: {found.entries} entries in {found.seals} seals{after} are as they were sealed.{unsealed}")
    if found.gaps:
        say(
            f"No entry has the ids {found.gaps}: PostgreSQL leaves them out when a transaction is undone. An entry that"
            " somebody deleted before it was sealed, within a second, leaves such a gap as well."
        )
    if found.head:
        say(f"Head {found.head}. Note it elsewhere: mainstay journal verify --head {found.head}")
        say(f"To verify only what is newer: mainstay journal verify --since {found.head_seal}")
    return 0


def _show(rows: Iterable[Entry], *, as_json: bool) -> None:
    if as_json:
        _export(rows, "jsonl")
        return
    paint = Paint(sys.stdout)
    for row in rows:
        by = paint(clean(f"{row.actor_name} · {row.kind}"), "dim")
        say(f"{paint(moment(row.at), 'dim')}  {clean(row.sentence())}  {by}")


def _export(rows: Iterable[Entry], form: str) -> None:
    documents: Iterator[dict[str, Any]] = (_document(row) for row in rows)
    if form == "jsonl":
        for document in documents:
            sys.stdout.write(orjson.dumps(document).decode() + "\n")
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for document in documents:
        document["facts"] = orjson.dumps(document["facts"]).decode()
        writer.writerow([_cell(document[name]) for name in COLUMNS])


def _cell(value: Any) -> str:
    """A spreadsheet would run a text that begins like a formula; some of these texts come from outside."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _document(row: Entry) -> dict[str, Any]:
    return {
        "id": row.pk,
        "at": row.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "kind": row.kind,
        "subject": row.subject,
        "subject_name": row.subject_name,
        "application": row.application,
        "actor": row.actor,
        "actor_name": row.actor_name,
        "facts": row.facts,
        "sentence": row.sentence(),
        "sealed": row.seal_id is not None,
    }
