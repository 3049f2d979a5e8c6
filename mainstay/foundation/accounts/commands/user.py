"""`mainstay user`: people, their roles, and links by which they sign in once."""

import argparse
from datetime import timedelta

from mainstay.foundation.accounts.actions import (
    create_user,
    deactivate,
    edit_user,
    ended_too,
    make_sign_in_link,
    reactivate,
)
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.refusal import Refused
from mainstay.foundation.terminal import example, moment, plainly, say, say_json, table

LINK_LASTS = timedelta(days=1)
_ROLES = [role.value for role in Role]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `create`, `link`, `list`, `role`, `deactivate` and `reactivate`."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    create = acts.add_parser("create", help="add a person")
    create.add_argument("email", metavar="EMAIL")
    create.add_argument("--role", metavar="ROLE", required=True, choices=_ROLES, help=", ".join(_ROLES))
    create.add_argument("--name", default="", help="what they are called")
    example(create, ['mainstay user create sam@example.org --role developer --name "Sam"'])
    link = acts.add_parser("link", help="print a link that signs a person in once, within a day")
    link.add_argument("email", metavar="EMAIL")
    example(link, ["mainstay user link sam@example.org"])
    listing = acts.add_parser("list", help="list the people")
    listing.add_argument("--json", action="store_true", help="for a program")
    example(listing, ["mainstay user list"])
    role = acts.add_parser("role", help="give a person another role")
    role.add_argument("email", metavar="EMAIL")
    role.add_argument("role", metavar="ROLE", choices=_ROLES, help=", ".join(_ROLES))
    example(role, ["mainstay user role sam@example.org devops"])
    leave = acts.add_parser("deactivate", help="take a person's access away, and sign them out everywhere")
    leave.add_argument("email", metavar="EMAIL")
    example(leave, ["mainstay user deactivate sam@example.org"])
    back = acts.add_parser("reactivate", help="give a deactivated person their access back; then make them a link")
    back.add_argument("email", metavar="EMAIL")
    example(back, ["mainstay user reactivate sam@example.org", "mainstay user link sam@example.org"])
    example(parser, ["mainstay user create sam@example.org --role developer", "mainstay user link sam@example.org"])


@plainly
def run(args: argparse.Namespace) -> int:
    """Do what is asked."""
    at = now()
    match args.act:
        case "create":
            user = create_user(args.email, Role(args.role), args.name, COMMAND_LINE, at)
            say(f"{user.email} was added as {user.role}. To let them in: mainstay user link {user.email}")
        case "link":
            user = find(args.email)
            if not user.is_active:
                raise Refused(
                    f"{user.email} was deactivated and cannot sign in. First: mainstay user reactivate {user.email}"
                )
            say(make_sign_in_link(user, COMMAND_LINE, at, LINK_LASTS))
        case "list":
            _list(as_json=args.json)
        case "role":
            user = find(args.email)
            ended = edit_user(user, COMMAND_LINE, at, role=Role(args.role))
            say(f"{user.email} is {user.role}.{ended_too(ended)}")
        case "deactivate":
            user = find(args.email)
            ended = deactivate(user, COMMAND_LINE, at)
            say(f"{user.email} was deactivated and signed out everywhere.{ended_too(ended)}")
        case "reactivate":
            user = find(args.email)
            reactivate(user, COMMAND_LINE, at)
            say(f"{user.email} has access as {user.role}. To let them in: mainstay user link {user.email}")
    return 0


def find(email: str) -> User:
    """Return the person with this address.

    Raises:
        Refused: there is none.
    """
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        raise Refused(f"nobody has the address {email}. List the people: mainstay user list")
    return user


def _list(*, as_json: bool) -> None:
    rows = list(User.objects.order_by("email"))
    if as_json:
        document = [
            {
                "id": row.pk,
                "email": row.email,
                "name": row.name,
                "role": row.role,
                "active": row.is_active,
                "created_at": moment(row.created_at),
                "last_sign_in_at": moment(row.last_login) if row.last_login else None,
            }
            for row in rows
        ]
        say_json(document)
        return
    shown = [
        (row.email, row.name, row.role, "active" if row.is_active else "deactivated", moment(row.last_login))
        for row in rows
    ]
    table(shown, ("EMAIL", "NAME", "ROLE", "STATE", "LAST SIGN-IN"))
