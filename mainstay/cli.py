"""The `mainstay` command. Each subcommand is a module with `add_arguments(parser)` and `run(args) -> exit status`."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from mainstay import __version__
from mainstay.foundation import environment
from mainstay.foundation.environment import BadEnvironment
from mainstay.foundation.processes.steady import steady
from mainstay.foundation.refusal import CannotStart
from mainstay.foundation.wing import Command
from mainstay.wings import WINGS

COMMANDS: dict[str, Command] = {
    "up": Command(
        "mainstay.foundation.processes.supervise", "run everything: web, monitor and worker", django=False, serves=True
    ),
    "web": Command("mainstay.desk.server", "run the web process: pages, API, pings", serves=True),
    "monitor": Command("mainstay.role", "run the monitor process: checks", serves=True),
    "worker": Command("mainstay.role", "run the worker process: pages, seals, clean-up", serves=True),
    "prepare": Command(
        "mainstay.prepare", "bring the database up to date and make the first administrator", serves=True
    ),
    **{name: command for wing in reversed(WINGS) for name, command in wing.commands.items()},
    "self": Command("mainstay.backup", "back this installation up, restore it", django=False),
    "doctor": Command("mainstay.foundation.processes.doctor", "check this installation", django=False),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its exit status: 0 done, 1 failed, 2 wrong usage or settings."""
    os.umask(0o077)  # what Mainstay writes holds secrets and people's data: only its owner may read it
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in arguments if not word.startswith("-")), "")
    parser = argparse.ArgumentParser(prog="mainstay", description="The maintenance and support desk for applications.")
    parser.add_argument("--version", action="version", version=f"mainstay {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command_name, command in COMMANDS.items():
        sub = subparsers.add_parser(command_name, help=command.help, description=command.help.capitalize() + ".")
        if command_name == name:  # only the one that runs is imported: each starts quickly
            if command.serves:
                steady()
            try:
                module = _load(command)
            except BadEnvironment as error:
                sys.stderr.write(f"mainstay: the environment is not usable:\n{error}\n")
                return 2
            except CannotStart as error:
                sys.stderr.write(f"mainstay: {error}\n")
                return 1
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        status = args.run(args)
    except BadEnvironment as error:
        sys.stderr.write(f"mainstay: the environment is not usable:\n{error}\n")
        return 2
    except CannotStart as error:
        sys.stderr.write(f"mainstay: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; point stdout elsewhere so that Python's last flush does not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(status)


def _need_an_installation() -> None:
    """Refuse to begin where no Mainstay lives: only what serves may make one.

    Raises:
        BadEnvironment, CannotStart.
    """
    where = environment.read(os.environ)
    has_key = bool(where.secret_key) or where.secret_key_file.exists()
    if not has_key or not (where.database_url or where.database_file.exists()):
        raise CannotStart(
            f"there is no Mainstay in {where.home}: set MAINSTAY_HOME to the directory where it lives, "
            "or make a new one with: mainstay up"
        )


def _load(command: Command):  # type: ignore[no-untyped-def]  # a module, whose functions argparse calls
    if command.django:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainstay.settings")
        import django
        from django.apps import apps

        if not (command.serves or apps.ready):
            _need_an_installation()
        django.setup()
    return importlib.import_module(command.module)
