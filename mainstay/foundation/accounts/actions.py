"""What people do with people, teams and tokens: permission, change and journal entry in one transaction."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from mainstay.foundation import secrets
from mainstay.foundation.accounts import facts
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import SignInLink, Team, Token, User
from mainstay.foundation.accounts.permissions import CONFIG_APPLY, PEOPLE_EDIT, Role
from mainstay.foundation.held import held
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.refusal import Refused

TOKEN_PREFIX = "mst_"  # noqa: S105  # what marks a token, not one
TOKEN_MOST = timedelta(days=3650)


def subject(user: User) -> Subject:
    """Return the person as the journal names them."""
    return Subject("user", user.pk, str(user))


@transaction.atomic
def create_user(email: str, role: Role, name: str, actor: Actor, at: datetime, *, time_zone: str = "UTC") -> User:
    """Add a person. They sign in first by a link (`make_sign_in_link`) and then choose a password.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(PEOPLE_EDIT)
    address = _free_address(email)
    user = User.objects.create_user(address, None, role=role.value, name=name.strip(), time_zone=time_zone)
    write(facts.USER_CREATED, subject(user), actor, at, role=role.value)
    return user


@transaction.atomic
def edit_user(
    user: User,
    actor: Actor,
    at: datetime,
    *,
    role: Role | None = None,
    name: str | None = None,
    time_zone: str | None = None,
    email: str | None = None,
) -> list[Token]:
    """Change a person's role, name, time zone or address. Who gets another address is signed out everywhere.

    Return the tokens that ended with it: those that they made and that may do what they no longer may.

    Raises:
        NotAllowed, Refused: the last administrator must stay one; the address is another person's.
    """
    from allauth.account.models import EmailAddress

    actor.need(PEOPLE_EDIT)
    changed = []
    if email is not None and email.strip().lower() != user.email:
        user.email = _free_address(email)
        changed.append("email")
        EmailAddress.objects.filter(user=user).delete()  # allauth would still let them in by the old one
        SignInLink.objects.filter(user=user, used_at=None).delete()
        end_sessions(user)
    if role is not None and role.value != user.role:
        if user.role == Role.ADMIN and not _other_admins(user):
            raise Refused("the last administrator must stay one", "role")
        user.role = role.value
        changed.append("role")
    if name is not None and name.strip() != user.name:
        user.name = name.strip()
        changed.append("name")
    if time_zone is not None and time_zone != user.time_zone:
        user.time_zone = time_zone
        changed.append("time_zone")
    if changed:
        user.save(update_fields=changed)
        write(facts.USER_EDITED, subject(user), actor, at, fields=changed)
    return _end_what_they_made(user, actor, at) if "role" in changed else []


def _free_address(email: str) -> str:
    """Return the address as it is stored; raises `Refused` when it is none, or is somebody's."""
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise Refused(f"{email!r} is not an e-mail address", "email") from None
    there = User.objects.filter(email=address).first()
    if there is not None:
        hint = "" if there.is_active else ", deactivated; reactivate them instead"
        raise Refused(f"{address} is there already{hint}", "email", conflict=True)
    return address


@transaction.atomic
def deactivate(user: User, actor: Actor, at: datetime) -> list[Token]:
    """Take a person's access away, with all their sessions, links and tokens. Their name stays in the journal.

    Return the tokens that they made, which ended with it.

    Raises:
        NotAllowed, Refused: the last administrator must stay.
    """
    actor.need(PEOPLE_EDIT)
    if user.role == Role.ADMIN and not _other_admins(user):
        raise Refused("the last administrator must stay")
    user.is_active = False
    user.set_unusable_password()
    user.save(update_fields=["is_active", "password"])
    end_sessions(user)
    SignInLink.objects.filter(user=user, used_at=None).delete()  # reactivated, they need one made since
    write(facts.USER_DEACTIVATED, subject(user), actor, at)
    return _end_what_they_made(user, actor, at)


def _end_what_they_made(user: User, actor: Actor, at: datetime) -> list[Token]:
    """End the tokens of `user` that may do more than they may now, and links for others that they may not make now."""
    if not (user.is_active and user.actor.may(PEOPLE_EDIT)):
        SignInLink.objects.filter(maker=user, used_at=None).delete()
    found = Token.objects.filter(maker=user, revoked_at=None).order_by("id")
    ended = [token for token in found if not token.rightful]
    for token in ended:
        _revoke(token, actor, at)
    return ended


def ended_too(tokens: list[Token]) -> str:
    """Return which tokens ended with somebody's rights, as a sentence; empty when none did."""
    return f" Tokens they had made ended: {', '.join(token.name for token in tokens)}." if tokens else ""


def _maker_of(actor: Actor) -> tuple[int | None, int | None]:
    """Return the ids of the person and of the token that make something; None for the command line."""
    kind, _, number = actor.key.partition(":")
    if kind == "token":
        return Token.objects.values_list("maker_id", "pk").get(pk=int(number))
    return (int(number) if kind == "user" else None), None


@transaction.atomic
def reactivate(user: User, actor: Actor, at: datetime) -> None:
    """Give a deactivated person their access back, with the role they had; nothing for one who has access.

    Their password is gone: they sign in first by a link (`make_sign_in_link`). A second factor is still asked for.

    Raises:
        NotAllowed.
    """
    actor.need(PEOPLE_EDIT)
    if User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
        write(facts.USER_REACTIVATED, subject(user), actor, at, role=user.role)
    user.is_active = True


def end_sessions(user: User) -> int:
    """Sign a person out everywhere; return the number of sessions."""
    from allauth.usersessions.models import UserSession

    keys = list(UserSession.objects.filter(user=user).values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(user=user).delete()
    return len(keys)


@transaction.atomic
def make_sign_in_link(user: User, actor: Actor, at: datetime, lasts: timedelta) -> str:
    """Return a link that signs `user` in once; links made before are void.

    Raises:
        NotAllowed.
    """
    actor.need(PEOPLE_EDIT)
    SignInLink.objects.filter(user=user, used_at=None).delete()
    token = secrets.new_token("")
    maker_id, _ = _maker_of(actor)
    SignInLink.objects.create(
        user=user, maker_id=maker_id, digest=secrets.digest(token), created_at=at, expires_at=at + lasts
    )
    write(facts.SIGN_IN_LINK_MADE, subject(user), actor, at)
    return f"{settings.BASE_URL}/sign-in/{token}"


@transaction.atomic
def use_sign_in_link(token: str, at: datetime) -> User | None:
    """Return the person whose link `token` is, and void it; None when it is unknown, used or too old."""
    link = SignInLink.objects.select_related("user").filter(digest=secrets.digest(token)).first()
    if link is None or not link.user.is_active:
        return None
    if not SignInLink.objects.filter(pk=link.pk, used_at=None, expires_at__gt=at).update(used_at=at):
        return None
    write(facts.USER_SIGNED_IN, subject(link.user), link.user.actor, at, method="one-time link")
    return link.user


@transaction.atomic
def create_token(
    name: str, role: Role, actor: Actor, at: datetime, *, expires_at: datetime | None = None
) -> tuple[Token, str]:
    """Create an API token; return its row and the token itself, which is not stored.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(PEOPLE_EDIT)
    if not name.strip() or len(name) > 100 or "\0" in name:
        raise Refused("give a name of 1 to 100 characters that says what the token is for", "name")
    if expires_at is not None and not at < expires_at <= at + TOKEN_MOST:
        raise Refused("must be in the future and within ten years", "expires")
    maker_id, parent_id = _maker_of(actor)
    token = secrets.new_token(TOKEN_PREFIX)
    row = Token.objects.create(
        name=name.strip(),
        role=role.value,
        digest=secrets.digest(token),
        hint=token[: len(TOKEN_PREFIX) + 4],
        created_by=actor.name,
        maker_id=maker_id,
        parent_id=parent_id,
        created_at=at,
        expires_at=expires_at,
    )
    expires = f"{expires_at.astimezone(UTC):%Y-%m-%d}" if expires_at else "never"
    write(facts.TOKEN_CREATED, Subject("token", row.pk, row.name), actor, at, role=role.value, expires=expires)
    return row, token


@transaction.atomic
def revoke_token(token: Token, actor: Actor, at: datetime) -> None:
    """Make a token void, and those that were made with it.

    Raises:
        NotAllowed.
    """
    actor.need(PEOPLE_EDIT)
    _revoke(token, actor, at)


def _revoke(token: Token, actor: Actor, at: datetime) -> None:
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=at):
        write(facts.TOKEN_REVOKED, Subject("token", token.pk, token.name), actor, at)
    for child in token.children.filter(revoked_at=None):
        _revoke(child, actor, at)


@transaction.atomic
def put_team(
    name: str,
    email: str,
    members: list[User],
    actor: Actor,
    at: datetime,
    *,
    existing: Team | None = None,
    by_file: str = "",
) -> Team:
    """Create a team, or change one.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(PEOPLE_EDIT if not by_file else CONFIG_APPLY)
    team = held(existing, f"The team {existing.name}", by_file) if existing is not None else Team()
    if not name.strip() or len(name) > 100:
        raise Refused("give a name of 1 to 100 characters", "name")
    if Team.objects.filter(name=name).exclude(pk=existing.pk if existing else 0).exists():
        raise Refused(f"a team named {name} exists already", "name", conflict=True)
    changed = [field for field, value in (("name", name), ("email", email)) if getattr(team, field) != value]
    team.name, team.email, team.managed_by = name, email, by_file
    team.save()
    if {user.pk for user in members} != set(team.members.values_list("pk", flat=True)):
        team.members.set(members)
        changed.append("members")
    about = Subject("team", team.pk, team.name)
    if existing is None:
        write(facts.TEAM_CREATED, about, actor, at)
    elif changed:
        write(facts.TEAM_EDITED, about, actor, at, fields=changed)
    return team


@transaction.atomic
def remove_team(team: Team, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """Remove a team that owns nothing.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(PEOPLE_EDIT if not by_file else CONFIG_APPLY)
    team = held(team, f"The team {team.name}", by_file, leaving=True)
    owned = list(team.applications.values_list("name", flat=True)[:5])
    if owned:
        raise Refused(f"{team.name} still owns {', '.join(owned)}; give them another owner first", conflict=True)
    write(facts.TEAM_REMOVED, Subject("team", team.pk, team.name), actor, at)
    team.delete()


def _other_admins(user: User) -> bool:
    return User.objects.filter(role=Role.ADMIN.value, is_active=True).exclude(pk=user.pk).exists()
