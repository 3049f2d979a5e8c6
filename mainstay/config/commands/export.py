"""`mainstay export`: the present configuration as a file, secrets masked."""

import argparse
import sys

from mainstay.config.export import export
from mainstay.foundation.clock import now
from mainstay.foundation.terminal import example, fail, plainly, say_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--managed-by", metavar="NAME", help="only what the file of this name manages; '' for what was made by hand"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of YAML")
    example(parser, ["mainstay export > everything.yaml", "mainstay export --managed-by shop.yaml"])


@plainly
def run(args: argparse.Namespace) -> int:
    """Print the configuration."""
    found = export(now(), managed_by=args.managed_by)
    if args.json:
        say_json(found.document)
    else:
        sys.stdout.write(found.text())
    if found.missing:
        return fail(
            f"Not in it: {'; '.join(found.missing)}. Write these anew with a file or in the pages, or remove them."
        )
    return 0
