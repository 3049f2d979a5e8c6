"""`mainstay prepare`: database brought up to date, first administrator made, files applied. `up` runs it first."""

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connections
from django.db.models.signals import pre_migrate

from mainstay.backup import finish_cut_off
from mainstay.foundation.accounts.actions import create_user, make_sign_in_link
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.backups.database import CopyFailed, is_postgresql, migrations
from mainstay.foundation.backups.note import before_migration
from mainstay.foundation.clock import now
from mainstay.foundation.environment import Environment
from mainstay.foundation.processes import canary
from mainstay.foundation.processes.outage import words
from mainstay.foundation.refusal import CannotStart
from mainstay.foundation.terminal import fail
from mainstay.wings import WINGS

LINK_LASTS = timedelta(days=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", metavar="FILE", nargs="*", help="configuration file to apply")
    parser.add_argument(
        "--new-key",
        action="store_true",
        help="go on with a key that does not open this database: secrets must be entered again",
    )


def run(args: argparse.Namespace) -> int:
    """Prepare; exit status 1 when a file cannot be applied.

    Raises:
        CannotStart: the database refuses, or the key is not its own.
    """
    if said := finish_cut_off(settings.ENVIRONMENT):
        sys.stderr.write(f"mainstay: {said}\n")
    need_migrations()
    try:
        migrate()
        if not args.new_key:
            canary.need(settings.SECRET_KEY)
        canary.place(settings.SECRET_KEY, anew=args.new_key)
    except CopyFailed as error:
        return fail(f"the tables are not brought up to date, for no copy of them can be made first: {error}")
    except DatabaseError as error:
        raise CannotStart(f"the database {words(error)}. Ask: mainstay doctor") from None
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


def need_migrations() -> None:
    """Raise `CannotStart` when a wing has models and no migrations: its tables would never be made."""
    for wing in WINGS:
        config = next(one for one in apps.get_app_configs() if one.name == wing.app)
        found = find_spec(f"{wing.app}.migrations")
        if next(config.get_models(), None) is not None and (found is None or found.origin is None):
            raise CannotStart(
                f"the wing {wing.app} has models but no migrations, so it would have no tables. Make them:"
                f" DJANGO_SETTINGS_MODULE=mainstay.settings {sys.executable} -m django makemigrations {config.label}"
            )


def migrate() -> None:
    """Create or upgrade the tables, and the cache's. What they hold is copied before they change.

    A statement may take as long as it needs.

    Raises:
        CopyFailed: nothing was changed, for there would be no way back.
    """
    seen = False

    def copy_first(plan: Sequence[object], **_given: object) -> None:  # told of every app
        nonlocal seen
        if plan and not seen and migrations(settings.ENVIRONMENT):
            _copy(settings.ENVIRONMENT)
        seen = True

    default: Any = connections["default"]
    if default.vendor == "postgresql":
        default.lift_limits()
    pre_migrate.connect(copy_first)
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        pre_migrate.disconnect(copy_first)
    call_command("createcachetable", verbosity=0)
    default.close()  # with what was lifted


def _copy(environment: Environment) -> None:
    try:
        folder = before_migration(environment, now())
    except CopyFailed as error:
        if not is_postgresql(environment):
            raise
        sys.stderr.write(
            f"mainstay: no copy was made before the tables are brought up to date: {error}."
            " The only way back is a dump of yours (pg_dump)\n"
        )
    else:
        sys.stderr.write(f"mainstay: before the tables are brought up to date, they were copied to {folder}\n")
