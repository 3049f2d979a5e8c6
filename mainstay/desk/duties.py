"""What each role is to do next: a few short questions to the records, the gravest first."""

from datetime import datetime

from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.parts import Duty
from mainstay.kit.regions import ask
from mainstay.wings import WINGS


def duties(user: User, now: datetime) -> list[Duty]:
    """Return what `user` is to do next."""
    role = Role(user.role)
    asked = sorted((one.at[role], one.find) for wing in WINGS for one in wing.duties if role in one.at)
    return [duty for _, find in asked for duty in ask(find, user, now, of=Duty)]
