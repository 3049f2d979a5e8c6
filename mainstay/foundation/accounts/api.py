"""The API of people: users, teams, tokens, roles, and who the caller is."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from mainstay.foundation.accounts import actions
from mainstay.foundation.accounts.models import Team, Token, User
from mainstay.foundation.accounts.permissions import (
    PEOPLE_EDIT,
    PEOPLE_VIEW,
    PERMISSIONS,
    STATUS_VIEW,
    Role,
)
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.lookup import find
from mainstay.foundation.api.pagination import Page, page
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.api.types import Id, Paging, Search, Time
from mainstay.foundation.clock import now
from mainstay.foundation.refusal import Refused
from mainstay.foundation.words import Zone

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


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


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
    return {
        "key": actor.key,
        "name": actor.name,
        "role": actor.role,
        "permissions": [one.name for one in PERMISSIONS if actor.may(one)],
    }


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


class NewUser(_Body):
    """A person to add."""

    email: Annotated[Address, Field(min_length=3)]
    role: Role
    name: PersonName = ""
    time_zone: Zone = "UTC"


class UserChange(_Body):
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


def _user(row: User) -> dict[str, Any]:
    return {
        "id": row.pk,
        "email": row.email,
        "name": row.name,
        "role": row.role,
        "time_zone": row.time_zone,
        "active": row.is_active,
        "created_at": row.created_at,
        "last_login": row.last_login,
    }


@router.get("/users", auth=needs(PEOPLE_VIEW), response=Page[UserRow])
def list_users(request: HttpRequest, given: Query[UserFilter]) -> dict[str, Any]:
    """List people."""
    rows = User.objects.all()
    if given.active is not None:
        rows = rows.filter(is_active=given.active)
    if given.role is not None:
        rows = rows.filter(role=given.role.value)
    if given.q:
        rows = rows.filter(Q(email__icontains=given.q) | Q(name__icontains=given.q))
    return page(rows, _user, cursor=given.cursor, limit=given.limit)


@router.post("/users", auth=needs(PEOPLE_EDIT), response={201: UserRow})
def create_user(request: HttpRequest, response: HttpResponse, body: NewUser) -> dict[str, Any]:
    """Add a person.

    They sign in first by a link: `POST /users/{user_id}/sign-in-link`.
    """
    row = actions.create_user(body.email, body.role, body.name, actor_of(request), now(), time_zone=body.time_zone)
    response["Location"] = f"/api/v1/users/{row.pk}"
    return _user(row)


@router.get("/users/{user_id}", auth=needs(PEOPLE_VIEW), response=UserRow)
def get_user(request: HttpRequest, user_id: Id) -> dict[str, Any]:
    """Show a person."""
    return _user(find(User.objects.all(), "user", pk=user_id))


@router.patch("/users/{user_id}", auth=needs(PEOPLE_EDIT), response=UserRow)
def edit_user(request: HttpRequest, user_id: Id, body: UserChange) -> dict[str, Any]:
    """Change a person's role, name or time zone."""
    row = find(User.objects.all(), "user", pk=user_id)
    given = body.model_dump(exclude_none=True)
    actions.edit_user(row, actor_of(request), now(), **given)
    return _user(row)


@router.post("/users/{user_id}/deactivate", auth=needs(PEOPLE_EDIT), response=UserRow)
def deactivate_user(request: HttpRequest, user_id: Id) -> dict[str, Any]:
    """Take a person's access away and sign them out everywhere.

    Their name stays in the journal. The last administrator cannot be deactivated.
    """
    row = find(User.objects.all(), "user", pk=user_id)
    if row.is_active:
        actions.deactivate(row, actor_of(request), now())
    return _user(row)


@router.post("/users/{user_id}/reactivate", auth=needs(PEOPLE_EDIT), response=UserRow)
def reactivate_user(request: HttpRequest, user_id: Id) -> dict[str, Any]:
    """Give a deactivated person their access back.

    They have the role they had, and sign in first by a link: `POST /users/{user_id}/sign-in-link`.
    """
    row = find(User.objects.all(), "user", pk=user_id)
    actions.reactivate(row, actor_of(request), now())
    return _user(row)


@router.post("/users/{user_id}/sign-in-link", auth=needs(PEOPLE_EDIT), response={201: SignInLink})
def create_sign_in_link(request: HttpRequest, user_id: Id) -> dict[str, Any]:
    """Make a link that signs a person in once, within a day.

    It is shown only here. Links made before are void.
    """
    row = find(User.objects.all(), "user", pk=user_id)
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
    managed_by: str = Field(description="The configuration file that describes it, or empty.")


class TeamBody(_Body):
    """A team as people write it."""

    name: Label
    email: Address = ""
    members: Annotated[list[Address], Field(max_length=1_000)] = Field(
        default_factory=list, description="E-mail addresses of people who are there."
    )


def _team(row: Team) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "email": row.email,
        "members": sorted(member.email for member in row.members.all()),
        "managed_by": row.managed_by,
    }


def _members(body: TeamBody) -> list[User]:
    addresses = [address.lower() for address in body.members]
    found = {row.email: row for row in User.objects.filter(email__in=addresses)}
    for place, address in enumerate(addresses):
        if address not in found:
            raise Refused(f"there is no user {address}", f"members.{place}")
    return list(found.values())


@router.get("/teams", auth=needs(PEOPLE_VIEW), response=Page[TeamRow])
def list_teams(request: HttpRequest, given: Query[Paging]) -> dict[str, Any]:
    """List teams."""
    return page(Team.objects.prefetch_related("members"), _team, cursor=given.cursor, limit=given.limit)


@router.post("/teams", auth=needs(PEOPLE_EDIT), response={201: TeamRow})
def create_team(request: HttpRequest, response: HttpResponse, body: TeamBody) -> dict[str, Any]:
    """Create a team."""
    row = actions.put_team(body.name, body.email, _members(body), actor_of(request), now())
    response["Location"] = f"/api/v1/teams/{row.pk}"
    return _team(row)


@router.get("/teams/{team_id}", auth=needs(PEOPLE_VIEW), response=TeamRow)
def get_team(request: HttpRequest, team_id: Id) -> dict[str, Any]:
    """Show a team."""
    return _team(find(Team.objects.all(), "team", pk=team_id))


@router.put("/teams/{team_id}", auth=needs(PEOPLE_EDIT), response=TeamRow)
def replace_team(request: HttpRequest, team_id: Id, body: TeamBody) -> dict[str, Any]:
    """Make a team what the body says."""
    existing = find(Team.objects.all(), "team", pk=team_id)
    row = actions.put_team(body.name, body.email, _members(body), actor_of(request), now(), existing=existing)
    return _team(row)


@router.delete("/teams/{team_id}", auth=needs(PEOPLE_EDIT), response={204: None})
def remove_team(request: HttpRequest, team_id: Id) -> None:
    """Remove a team that owns nothing."""
    actions.remove_team(find(Team.objects.all(), "team", pk=team_id), actor_of(request), now())


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


class NewToken(_Body):
    """A token to create."""

    name: Label = Field(description="What it is for.")
    role: Role
    expires_at: Time | None = Field(default=None, description="Never, when left out.")


def _token(row: Token, at: datetime) -> dict[str, Any]:
    state: TokenState = "revoked" if row.revoked_at else "usable" if row.usable(at) else "expired"
    return {
        "id": row.pk,
        "name": row.name,
        "role": row.role,
        "hint": row.hint,
        "state": state,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
        "revoked_at": row.revoked_at,
    }


@router.get("/tokens", auth=needs(PEOPLE_EDIT), response=Page[TokenRow])
def list_tokens(request: HttpRequest, given: Query[Paging]) -> dict[str, Any]:
    """List tokens, revoked and expired ones too."""
    at = now()
    return page(Token.objects.all(), lambda row: _token(row, at), cursor=given.cursor, limit=given.limit)


@router.post("/tokens", auth=needs(PEOPLE_EDIT), response={201: FreshToken})
def create_token(request: HttpRequest, body: NewToken) -> dict[str, Any]:
    """Create a token.

    The answer is the only place that shows it; Mainstay keeps its digest.
    """
    at = now()
    row, token = actions.create_token(body.name, body.role, actor_of(request), at, expires_at=body.expires_at)
    return {**_token(row, at), "token": token}


@router.post("/tokens/{token_id}/revoke", auth=needs(PEOPLE_EDIT), response=TokenRow)
def revoke_token(request: HttpRequest, token_id: Id) -> dict[str, Any]:
    """Make a token void at once."""
    row, at = find(Token.objects.all(), "token", pk=token_id), now()
    actions.revoke_token(row, actor_of(request), at)
    row.refresh_from_db()
    return _token(row, at)
