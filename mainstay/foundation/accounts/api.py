"""The API of people: users, teams, tokens, roles, and who the caller is."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q
from django.http import HttpRequest
from ninja import Router
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from mainstay.foundation.accounts import actions, resource
from mainstay.foundation.accounts.models import Team, Token, User
from mainstay.foundation.accounts.permissions import (
    PEOPLE_EDIT,
    PEOPLE_VIEW,
    PERMISSIONS,
    STATUS_VIEW,
    Role,
)
from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.pagination import Page
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.api.types import Body, Change, Id, ManagedBy, Paging, Search, Time
from mainstay.foundation.clock import now
from mainstay.foundation.resource import By
from mainstay.foundation.words.names import Zone

router = Router()
LINK_LASTS = timedelta(days=1)


def _address(text: str) -> str:
    if text:
        try:
            validate_email(text)
        except ValidationError:
            raise ValueError(f"{text!r} is not an e-mail address") from None
    return text


Address = Annotated[
    str, StringConstraints(max_length=254), AfterValidator(_address), Field(examples=["lee@example.com"])
]
PersonName = Annotated[str, StringConstraints(max_length=200)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]


# --- the caller ---------------------------------------------------------------------------------------------------


class Me(BaseModel):
    """Who the caller is, and what they may do."""

    key: str = Field(examples=["token:3"], description="How the journal names the caller.")
    name: str
    role: Role
    permissions: list[str]


@router.get("/me", auth=needs(STATUS_VIEW), response=Me)
def show_me(request: HttpRequest) -> dict[str, Any]:
    """Tell who the caller is and what they may do."""
    actor = actor_of(request)
    return columns(actor, Me, permissions=[one.name for one in PERMISSIONS if actor.may(one)])


class RoleRow(BaseModel):
    """A role and what it may do."""

    name: Role
    label: str
    permissions: list[str]


@router.get("/roles", auth=needs(PEOPLE_VIEW), response=Page[RoleRow])
def list_roles(request: HttpRequest) -> dict[str, Any]:
    """List the roles and their permissions."""
    rows = [
        {"name": role, "label": role.label, "permissions": [one.name for one in PERMISSIONS if role in one.roles]}
        for role in Role
    ]
    return {"items": rows, "next": None}


# --- users --------------------------------------------------------------------------------------------------------


class UserRow(BaseModel):
    """A person."""

    id: int
    email: str
    name: str
    role: Role
    time_zone: str
    active: bool
    created_at: datetime
    last_login: datetime | None


class NewUser(Body):
    """A person to add."""

    email: Annotated[Address, Field(min_length=3)]
    role: Role
    name: PersonName = ""
    time_zone: Zone = "UTC"


class UserChange(Change):
    """What to change of a person; what is left out stays."""

    role: Role | None = None
    name: PersonName | None = None
    time_zone: Zone | None = None
    email: Annotated[Address, Field(min_length=3)] | None = None


class SignInLink(BaseModel):
    """A link that signs one person in once."""

    url: str
    expires_at: datetime


class UserFilter(Paging):
    """Which people."""

    active: bool | None = Field(default=None, description="Only those with (or without) access.")
    role: Role | None = None
    q: Search = Field(default="", description="Part of the name or address.")


def _user(row: User, at: datetime) -> dict[str, Any]:
    return columns(row, UserRow, active=row.is_active)


USERS = Collection(
    router=router,
    path="users",
    one="user",
    view=PEOPLE_VIEW,
    edit=PEOPLE_EDIT,
    rows=User.objects.all,
    row=UserRow,
    show=_user,
    filters=UserFilter,
    narrow={
        "active": "is_active",
        "role": "role",
        "q": lambda text: Q(email__icontains=text) | Q(name__icontains=text),
    },
    body=NewUser,
    save=lambda body, by, _: actions.create_user(
        body.email, body.role, body.name, by.actor, by.at, time_zone=body.time_zone
    ),
    texts={
        "list": "List people.",
        "create": """Add a person.

        They sign in first by a link: `POST /users/{user_id}/sign-in-link`.
        """,
        "get": "Show a person.",
    },
)
USERS.serve()


@router.patch("/users/{user_id}", auth=needs(PEOPLE_EDIT), response=UserRow)
def edit_user(request: HttpRequest, user_id: Id, body: UserChange) -> dict[str, Any]:
    """Change a person's role, name or time zone."""
    row, at = USERS.find(user_id), now()
    actions.edit_user(row, actor_of(request), at, **body.model_dump(exclude_none=True))
    return _user(row, at)


@USERS.act()
def deactivate_user(row: User, by: By) -> None:
    """Take a person's access away and sign them out everywhere.

    Their name stays in the journal. The last administrator cannot be deactivated.
    """
    if row.is_active:
        actions.deactivate(row, by.actor, by.at)


@USERS.act()
def reactivate_user(row: User, by: By) -> None:
    """Give a deactivated person their access back.

    They have the role they had, and sign in first by a link: `POST /users/{user_id}/sign-in-link`.
    """
    actions.reactivate(row, by.actor, by.at)


@router.post("/users/{user_id}/sign-in-link", auth=needs(PEOPLE_EDIT), response={201: SignInLink})
def create_sign_in_link(request: HttpRequest, user_id: Id) -> dict[str, Any]:
    """Make a link that signs a person in once, within a day.

    It is shown only here. Links made before are void.
    """
    row = USERS.find(user_id)
    if not row.is_active:
        raise Problem(409, f"{row} is deactivated and cannot sign in. Reactivate them first.")
    at = now()
    return {"url": actions.make_sign_in_link(row, actor_of(request), at, LINK_LASTS), "expires_at": at + LINK_LASTS}


# --- teams --------------------------------------------------------------------------------------------------------


class TeamRow(BaseModel):
    """A group of people who own applications."""

    id: int
    name: str
    email: str
    members: list[str] = Field(description="E-mail addresses.")
    managed_by: ManagedBy


class TeamBody(Body):
    """A team as people write it."""

    name: Label
    email: Address = ""
    members: Annotated[list[Address], Field(max_length=1_000)] = Field(
        default_factory=list, description="E-mail addresses of people who are there."
    )


def _team(row: Team, at: datetime) -> dict[str, Any]:
    return columns(row, TeamRow, members=sorted(member.email for member in row.members.all()))


def _save_team(body: TeamBody, by: By, row: Team | None) -> Team:
    members = [address.lower() for address in body.members]
    spec = TeamSpec.model_construct(name=body.name, email=body.email, members=members)
    return resource.TEAMS.save(spec, by, row)


TEAMS = Collection(
    router=router,
    resource=resource.TEAMS,
    view=PEOPLE_VIEW,
    edit=PEOPLE_EDIT,
    row=TeamRow,
    show=_team,
    body=TeamBody,
    save=_save_team,
    texts={
        "list": "List teams.",
        "create": "Create a team.",
        "get": "Show a team.",
        "replace": "Make a team what the body says.",
        "remove": "Remove a team that owns nothing.",
    },
)
TEAMS.serve()


# --- tokens -------------------------------------------------------------------------------------------------------

TokenState = Literal["usable", "expired", "revoked"]


class TokenRow(BaseModel):
    """A key to the API, without the key."""

    id: int
    name: str
    role: Role
    hint: str = Field(description="The token's first characters.")
    state: TokenState
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    revoked_at: datetime | None


class FreshToken(TokenRow):
    """A new key, with the key: it is shown only here."""

    token: str = Field(examples=["mst_…"], description="Send it as `Authorization: Bearer <token>`.")


class NewToken(Body):
    """A token to create."""

    name: Label = Field(description="What it is for.")
    role: Role
    expires_at: Time | None = Field(default=None, description="Never, when left out.")


def _token(row: Token, at: datetime) -> dict[str, Any]:
    state: TokenState = "revoked" if row.revoked_at else "usable" if row.usable(at) else "expired"
    return columns(row, TokenRow, state=state)


TOKENS = Collection(
    router=router,
    path="tokens",
    one="token",
    view=PEOPLE_EDIT,
    edit=PEOPLE_EDIT,
    rows=Token.objects.all,
    row=TokenRow,
    show=_token,
    texts={"list": "List tokens, revoked and expired ones too."},
)
TOKENS.serve()


@router.post("/tokens", auth=needs(PEOPLE_EDIT), response={201: FreshToken})
def create_token(request: HttpRequest, body: NewToken) -> dict[str, Any]:
    """Create a token.

    The answer is the only place that shows it; Mainstay keeps its digest.
    """
    at = now()
    row, token = actions.create_token(body.name, body.role, actor_of(request), at, expires_at=body.expires_at)
    return {**_token(row, at), "token": token}


@TOKENS.act()
def revoke_token(row: Token, by: By) -> None:
    """Make a token void at once."""
    actions.revoke_token(row, by.actor, by.at)
