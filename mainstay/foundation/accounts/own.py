"""What people do with their own account, and administrators with others' sessions and second factors."""

from datetime import datetime

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction

from mainstay.foundation.accounts import facts
from mainstay.foundation.accounts.actions import end_sessions, subject
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import PEOPLE_EDIT, SELF_EDIT
from mainstay.foundation.journal.write import write
from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.names import zones


def need_for(user: User, actor: Actor) -> None:
    """Raise `NotAllowed` unless `actor` is this person, or may edit people."""
    actor.need(SELF_EDIT if actor.key == user.actor.key else PEOPLE_EDIT)


@transaction.atomic
def edit_own(user: User, actor: Actor, at: datetime, *, name: str, time_zone: str) -> None:
    """Change one's own name and time zone.

    Raises:
        NotAllowed, Refused: no such zone.
    """
    need_for(user, actor)
    if time_zone not in zones():
        raise Refused(f"{time_zone!r} is no time zone; write for example Europe/Berlin or UTC", "time_zone")
    given = {"name": name.strip()[:200], "time_zone": time_zone}
    changed = [field for field, value in given.items() if getattr(user, field) != value]
    if changed:
        user.name, user.time_zone = given["name"], given["time_zone"]
        user.save(update_fields=changed)
        write(facts.USER_EDITED, subject(user), actor, at, fields=changed)


@transaction.atomic
def revoke_session(session: UserSession, actor: Actor, at: datetime) -> None:
    """End one session: its next request is signed out.

    Raises:
        NotAllowed.
    """
    need_for(session.user, actor)
    Session.objects.filter(session_key=session.session_key).delete()
    write(facts.SESSION_REVOKED, subject(session.user), actor, at)
    session.delete()


@transaction.atomic
def revoke_sessions(user: User, actor: Actor, at: datetime) -> int:
    """Sign a person out everywhere; return the number of sessions.

    Raises:
        NotAllowed.
    """
    need_for(user, actor)
    ended = end_sessions(user)
    for _ in range(ended):
        write(facts.SESSION_REVOKED, subject(user), actor, at)
    return ended


@transaction.atomic
def remove_second_factor(user: User, actor: Actor, at: datetime) -> bool:
    """Take away a second factor whose device is lost; False when there is none.

    Raises:
        NotAllowed.
    """
    actor.need(PEOPLE_EDIT)
    removed, _ = Authenticator.objects.filter(user=user).delete()
    if removed:
        write(facts.USER_EDITED, subject(user), actor, at, fields=["second factor removed"])
    return bool(removed)
