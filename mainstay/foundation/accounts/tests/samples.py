"""People and tokens for the tests of all wings (desk/tests/desk.py)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.foundation.accounts.actions import create_token
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role


def fill(places: Mapping[str, Any], at: datetime) -> dict[str, object]:
    token, _ = create_token("scraper", Role.SUPPORT, COMMAND_LINE, at)
    return {"user_id": User.objects.get(email="lee@example.com").pk, "token_id": token.pk, "session_id": 1}


BODIES = {
    "create_token": {"name": "other", "role": "support"},
    "create_user": {"email": "kim@example.com", "role": "developer"},
    "edit_user": {"name": "Lee L."},
    "replace_team": {"name": "Payments"},
}
