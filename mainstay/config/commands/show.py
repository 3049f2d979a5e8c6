"""A plan as people read it, like a diff, and problems as compilers write them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from mainstay.config.apply import Outcome
from mainstay.config.plan import Change, FieldChange, Verb
from mainstay.config.problems import BadFile
from mainstay.foundation.terminal import Paint, clean, say, shortened
from mainstay.foundation.yaml.problems import Problem
from mainstay.foundation.yaml.read import MOST_BYTES

STDIN = "-"
_SIGNS = {Verb.ADD: ("+", "green"), Verb.CHANGE: ("~", "yellow"), Verb.REMOVE: ("-", "red"), Verb.KEEP: ("=", "dim")}


def load(path: str) -> tuple[bytes, str]:
    """Return the bytes of a file (`-`: stdin) and the name to show.

    Raises:
        BadFile: it cannot be read.
    """
    if path == STDIN:
        return sys.stdin.buffer.read(MOST_BYTES + 1), "stdin"
    try:
        with Path(path).open("rb") as file:
            return file.read(MOST_BYTES + 1), path
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadFile([Problem(0, 0, "", f"cannot be read: {reason}. Check the path and who may read it.")]) from None


def tell_problems(file: str, problems: tuple[Problem, ...]) -> None:
    """Print problems on stderr, one per line."""
    paint = Paint(sys.stderr)
    for problem in problems:
        sys.stderr.write(f"{clean(problem.shown(file))}\n")
    several = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    sys.stderr.write(paint(f"{several}; nothing was changed.\n", "red"))


def tell_changes(outcome: Outcome) -> None:
    """Print what changes, on stdout."""
    paint = Paint(sys.stdout)
    for change in outcome.changes:
        if change.matters:
            say(_heading(change, paint))
            for field in change.fields:
                say(_line(change, field, paint))
    if any(change.matters for change in outcome.changes):
        say()


def summary(outcome: Outcome) -> str:
    """Return the counts as a sentence."""
    counts: Mapping[str, int] = outcome.counts or {}
    if outcome.changes_nothing:
        return f"{outcome.file}: nothing to change, {counts.get('keep', 0)} as they should be."
    forms = (
        ("add", "added", "to add"),
        ("change", "changed", "to change"),
        ("remove", "removed", "to remove"),
        ("adopt", "taken over", "to take over"),
        ("keep", "unchanged", "unchanged"),
    )
    shown = {verb: counts.get(verb, 0) - (_plainly_adopted(outcome) if verb == "keep" else 0) for verb, *_ in forms}
    parts = [f"{shown[verb]} {done if outcome.applied else todo}" for verb, done, todo in forms if shown[verb]]
    return f"{outcome.file}: {', '.join(parts)}."


def _plainly_adopted(outcome: Outcome) -> int:
    return sum(change.adopted and change.verb is Verb.KEEP for change in outcome.changes)


def _heading(change: Change, paint: Paint) -> str:
    sign, colour = _SIGNS[change.verb]
    notes = [note for note in (change.note, "managed by this file from now on" if change.adopted else "") if note]
    note = f"  ({'; '.join(notes)})" if notes else ""
    return paint(f"{sign} {change.kind} {clean(change.name)}", colour) + paint(note, "dim")


def _line(change: Change, field: FieldChange, paint: Paint) -> str:
    name = f"    {clean(field.field)}: "
    if change.verb is Verb.ADD:
        return f"{name}{_value(field.after)}"
    if field.before is None:
        return f"{name}{paint(_value(field.after), 'green')}"
    if field.after is None:
        return f"{name}{paint(_value(field.before), 'red')} → {paint('default', 'dim')}"
    secret = "  (changed)" if field.before == field.after else ""
    return f"{name}{paint(_value(field.before), 'red')} → {paint(_value(field.after), 'green')}{paint(secret, 'dim')}"


def _value(value: Any) -> str:
    return shortened(value if isinstance(value, str) else orjson.dumps(value).decode())
