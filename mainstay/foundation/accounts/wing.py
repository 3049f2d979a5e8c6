"""People: who may do what, and how they sign in."""

from mainstay.foundation.accounts.permissions import (
    OPERATIONS_VIEW,
    PEOPLE_EDIT,
    PEOPLE_VIEW,
    SELF_EDIT,
    STATUS_VIEW,
    Role,
)
from mainstay.foundation.wing import Action, Command, Duties, Place, Search, SubjectPage, Wing

_PARTS = "mainstay.foundation.accounts.pages.parts"

WING = Wing(
    app="mainstay.foundation.accounts",
    urls="mainstay.foundation.accounts.pages.urls",
    routers=("mainstay.foundation.accounts.api.router",),
    actions=(
        Action("Invite person", "person_invite", "add new user"),
        Action("Add team", "team_new", "new"),
        Action("Add token", "token_new", "new api key"),
    ),
    places=(
        Place("People", "people", "below", 10, icon="people", key="e", words="users roles"),
        Place("Teams", "teams", "below", 11, words="owners groups"),
        Place("API tokens", "tokens", "below", 12, words="keys"),
        Place("Your profile", "profile", "below", 30, words="time zone name"),
        Place("Your password", "account_change_password", "below", 31),
        Place("Your second factor", "mfa_index", "below", 32, words="mfa totp passkey"),
    ),
    subjects={
        "team": SubjectPage("teams"),
        "token": SubjectPage("tokens"),
        "user": SubjectPage("person", by="id"),
    },
    permissions=(
        STATUS_VIEW,
        OPERATIONS_VIEW,
        PEOPLE_VIEW,
        PEOPLE_EDIT,
        SELF_EDIT,
    ),
    resources=("mainstay.foundation.accounts.resource.TEAMS",),
    duties=(Duties(f"{_PARTS}.second_factors", {Role.SECURITY: 10, Role.ADMIN: 50}),),
    searches=(Search("People", f"{_PARTS}.find", PEOPLE_VIEW, 50),),
    commands={
        "token": Command("mainstay.foundation.accounts.commands.token", "create, list and revoke API tokens"),
        "user": Command("mainstay.foundation.accounts.commands.user", "create people, make sign-in links"),
    },
)
