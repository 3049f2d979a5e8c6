"""`mainstay plan FILE`: what would change; nothing does."""

import argparse
import os

from mainstay.config.apply import Outcome, plan_text
from mainstay.config.commands.show import load, summary, tell_changes, tell_problems
from mainstay.config.problems import BadFile
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.clock import now
from mainstay.foundation.terminal import example, plainly, say, say_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", help="the file; - reads standard input")
    parser.add_argument("--json", action="store_true", help="print the changes for a program")
    example(parser, ["mainstay plan shop.yaml", "mainstay plan --json - < shop.yaml"])


@plainly
def run(args: argparse.Namespace) -> int:
    """Show the changes; exit status 1 when the file is not valid."""
    try:
        text, name = load(args.file)
        outcome = plan_text(text, name, COMMAND_LINE, now(), environ=os.environ)
    except BadFile as error:
        outcome = Outcome(args.file, "", problems=error.problems)
    if args.json:
        say_json(outcome.document())
    elif outcome.fine:
        tell_changes(outcome)
        say(summary(outcome))
    else:
        tell_problems(outcome.file, outcome.problems)
    return 0 if outcome.fine else 1
