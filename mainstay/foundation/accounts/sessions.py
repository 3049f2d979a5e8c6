"""Sessions in the database: under the digest of their key, so that a copy of the database signs nobody in.

The key itself is in the browser's cookie alone. allauth's table of sessions holds the same digests.
"""

from typing import Any

from allauth.usersessions.apps import UserSessionsConfig
from django.contrib.sessions.backends import db

from mainstay.foundation.clock import now
from mainstay.foundation.secrets import digest

STORED_LENGTH = 40  # of the columns; 160 bits of the digest


def stored_key(key: str | None) -> str:
    """Return under what the session of a cookie is stored."""
    return digest(key or "")[:STORED_LENGTH]


class SessionStore(db.SessionStore):
    """Django's sessions in the database; only digests of keys get there."""

    def _get_session_from_db(self) -> Any:
        live = self.model.objects.filter(session_key=stored_key(self.session_key), expire_date__gt=now())
        found = live.first()
        if found is None:
            self._session_key = None
        return found

    def exists(self, session_key: str) -> bool:
        return super().exists(stored_key(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = stored_key(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(stored_key(key))


class UserSessions(UserSessionsConfig):  # type: ignore[misc]  # allauth has no types
    """allauth's table of who is signed in where, written by us."""

    def ready(self) -> None:
        from allauth.account.signals import password_changed, password_set, user_logged_in

        for signal in (user_logged_in, password_set, password_changed):  # a new password makes a new session
            signal.connect(_note)


def _note(request: Any, user: Any, **_: Any) -> None:
    """Note the browser in which somebody signed in, and forget those of theirs whose sessions are over."""
    from allauth.account.adapter import get_adapter
    from allauth.usersessions.models import UserSession
    from django.contrib.sessions.models import Session

    if not request.session.session_key:
        request.session.save()
    live = Session.objects.filter(expire_date__gt=now())
    UserSession.objects.filter(user=user).exclude(session_key__in=live.values("session_key")).delete()
    longest = UserSession._meta.get_field("user_agent").max_length
    UserSession.objects.update_or_create(
        session_key=stored_key(request.session.session_key),
        defaults={
            "user": user,
            "ip": get_adapter().get_client_ip(request),
            "user_agent": request.headers.get("User-Agent", "")[:longest],
        },
    )
