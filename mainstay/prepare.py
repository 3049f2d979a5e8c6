"""`mainstay prepare`: database brought up to date, first administrator made, files applied. `up` runs it first."""

import argparse
import sys
from datetime import timedelta

from django.conf import settings
from django.core.management import call_command

from mainstay.foundation.accounts.actions import create_user, make_sign_in_link
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now

LINK_LASTS = timedelta(days=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", metavar="FILE", nargs="*", help="configuration file to apply")


def run(args: argparse.Namespace) -> int:
    """Prepare; exit status 1 when a file cannot be applied."""
    migrate()
    if not User.objects.exists():
        admin = create_user(settings.ENVIRONMENT.admin_email, Role.ADMIN, "Administrator", COMMAND_LINE, now())
        link = make_sign_in_link(admin, COMMAND_LINE, now(), LINK_LASTS)
        sys.stderr.write(f"\n  Sign in once, within a day, as {admin.email}:\n\n  {link}\n\n")
    for file in args.files:
        from mainstay.config.commands.apply import apply_file

        status: int = apply_file(file, quiet=True)
        if status:
            return status
    return 0


def migrate() -> None:
    """Create or upgrade the tables, and the cache's."""
    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)
