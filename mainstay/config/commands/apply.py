"""`mainstay apply FILE`: the configuration is made what the file says; applied again, nothing happens."""

import argparse
import os
import sys

from mainstay.config.apply import Outcome, apply_text
from mainstay.config.commands.show import load, summary, tell_changes, tell_problems
from mainstay.config.problems import BadFile
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.clock import now
from mainstay.foundation.terminal import example, plainly, say, say_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", help="the file; - reads standard input")
    parser.add_argument("--json", action="store_true", help="print what was changed for a program")
    example(parser, ["mainstay apply shop.yaml", "mainstay export | mainstay apply -"])


@plainly
def run(args: argparse.Namespace) -> int:
    """Apply the file; exit status 1 when it is not valid, and nothing was changed."""
    if not args.json:
        return apply_file(args.file, quiet=False)
    outcome = _applied(args.file)
    say_json(outcome.document())
    return 0 if outcome.fine else 1


def apply_file(path: str, *, quiet: bool) -> int:
    """Apply a file as the command line; return the exit status, 1 when it is not valid.

    Args:
        quiet: tell only what is wrong, and in one line on stderr that something was changed.
    """
    outcome = _applied(path)
    if not outcome.fine:
        tell_problems(outcome.file, outcome.problems)
        return 1
    if not quiet:
        tell_changes(outcome)
        say(summary(outcome))
    elif not outcome.changes_nothing:
        sys.stderr.write(f"mainstay: {summary(outcome)}\n")
    return 0


def _applied(path: str) -> Outcome:
    try:
        text, name = load(path)
    except BadFile as error:
        return Outcome(path, "", problems=error.problems)
    return apply_text(text, name, COMMAND_LINE, now(), environ=os.environ)
