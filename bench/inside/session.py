"""Signs the first administrator in: `python -m bench.inside.session` prints the cookie as JSON."""

import json

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

import bench.inside  # noqa: F401  # sets Django up
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.accounts.sessions import SessionStore


def main() -> None:
    """Make a session as signing in does."""
    user = User.objects.filter(role=Role.ADMIN.value).order_by("pk")[0]
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    print(json.dumps({"name": settings.SESSION_COOKIE_NAME, "value": store.session_key}))


if __name__ == "__main__":
    main()
