"""`mainstay token`: keys to the API, for programs."""

import argparse
import re
from datetime import datetime, timedelta
from typing import Any

from mainstay.foundation.accounts.actions import create_token, revoke_token
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import Token
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.refusal import Refused
from mainstay.foundation.terminal import example, moment, plainly, say, say_json, table

_DURATION = re.compile(r"([1-9][0-9]{0,5})(h|d|w)")
_ROLES = [role.value for role in Role]
_HOURS = {"h": 1, "d": 24, "w": 168}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `create`, `list` and `revoke`."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    create = acts.add_parser("create", help="create a token; print it, and nothing else, once")
    create.add_argument("--role", metavar="ROLE", required=True, choices=_ROLES, help=", ".join(_ROLES))
    create.add_argument("--name", required=True, help="what it is for")
    create.add_argument(
        "--expires", metavar="SPAN", type=span, help="how long it is good for: 12h, 90d, 52w; default: for ever"
    )
    example(create, ["mainstay token create --role devops --name ci --expires 90d"])
    listing = acts.add_parser("list", help="list the tokens")
    listing.add_argument("--json", action="store_true", help="for a program")
    example(listing, ["mainstay token list"])
    revoke = acts.add_parser("revoke", help="make a token void")
    revoke.add_argument("token", metavar="NAME|ID", help="its name, or its number from `list`")
    example(revoke, ["mainstay token revoke ci"])
    example(
        parser, ["mainstay token create --role devops --name ci", "mainstay token list", "mainstay token revoke ci"]
    )


@plainly
def run(args: argparse.Namespace) -> int:
    """Do what is asked."""
    at = now()
    match args.act:
        case "create":
            expires_at = at + args.expires if args.expires else None
            _, token = create_token(args.name, Role(args.role), COMMAND_LINE, at, expires_at=expires_at)
            say(token)
        case "list":
            _list(at, as_json=args.json)
        case "revoke":
            row = find(args.token)
            revoke_token(row, COMMAND_LINE, at)
            say(f"The token {row.name} ({row.hint}…) is void.")
    return 0


def span(text: str) -> timedelta:
    """Return the time that `90d` stands for."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time: write for example 12h, 90d or 52w")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def find(text: str) -> Token:
    """Return the token in use with this number or name.

    Raises:
        Refused: there is none, or more than one.
    """
    usable = Token.objects.filter(revoked_at=None)
    if text.isascii() and text.isdecimal() and len(text) < 19 and (numbered := usable.filter(pk=int(text)).first()):
        return numbered
    named = list(usable.filter(name=text).order_by("id"))
    if not named:
        raise Refused(f"no token in use has the name or number {text}. List them: mainstay token list")
    if len(named) > 1:
        numbers = ", ".join(str(row.pk) for row in named)
        raise Refused(f"{len(named)} tokens are called {text}; name one by its number: {numbers}")
    return named[0]


def _list(at: datetime, *, as_json: bool) -> None:
    rows = list(Token.objects.order_by("id"))
    if as_json:
        say_json([_document(row, at) for row in rows])
        return
    header = ("ID", "NAME", "ROLE", "BEGINS", "STATE", "CREATED", "EXPIRES", "LAST USED")
    shown = [
        (
            str(row.pk),
            row.name,
            row.role,
            row.hint,
            _state(row, at),
            moment(row.created_at),
            moment(row.expires_at),
            moment(row.last_used_at),
        )
        for row in rows
    ]
    table(shown, header)


def _state(row: Token, at: datetime) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "in use" if row.usable(at) else "expired"


def _document(row: Token, at: datetime) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "role": row.role,
        "begins": row.hint,
        "state": _state(row, at),
        "created_by": row.created_by,
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at) if row.expires_at else None,
        "last_used_at": moment(row.last_used_at) if row.last_used_at else None,
        "revoked_at": moment(row.revoked_at) if row.revoked_at else None,
    }
