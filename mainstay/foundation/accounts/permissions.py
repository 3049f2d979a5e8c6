"""Roles, and what a permission is: it carries its roles, and nothing else decides who may do what."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person or a token is here for (DESIGN: five roles, admin, stakeholder)."""

    SUPPORT = "support"
    DEVELOPER = "developer"
    DEVOPS = "devops"
    SECURITY = "security"
    PRODUCT = "product"
    ADMIN = "admin"
    STAKEHOLDER = "stakeholder"

    @property
    def label(self) -> str:
        """The role as people read it."""
        return ROLE_LABELS[self]


ROLE_LABELS = {
    Role.SUPPORT: "Support engineer",
    Role.DEVELOPER: "Developer",
    Role.DEVOPS: "DevOps engineer",
    Role.SECURITY: "Security specialist",
    Role.PRODUCT: "Product owner",
    Role.ADMIN: "Administrator",
    Role.STAKEHOLDER: "Stakeholder",
}


EVERYONE = frozenset(Role)
INSIDE = EVERYONE - {Role.STAKEHOLDER}


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that a role may or may not do; it carries the answer itself.

    Attributes:
        name: what the API calls it.
        meaning: what it lets people do, in words.
        roles: who holds it.
    """

    name: str
    meaning: str
    roles: frozenset[Role]

    def __str__(self) -> str:
        return self.name


def covers(role: Role, other: Role) -> bool:
    """Tell whether `role` may do all that `other` may."""
    return all(role in one.roles for one in PERMISSIONS if other in one.roles)


def permission(name: str, meaning: str, *roles: Role) -> Permission:
    """Return a permission of `roles` and administrators, who hold each."""
    return Permission(name, meaning, frozenset(roles) | {Role.ADMIN})


# Those that no wing alone has: they are asked for by several, or by the ground.
STATUS_VIEW = Permission("status.view", "See applications, their state and uptime", EVERYONE)
OPERATIONS_VIEW = Permission("operations.view", "See checks, alerts, deliveries and the journal", INSIDE)
ALERTS_RESPOND = permission(
    "alerts.respond",
    "Acknowledge and silence alerts, retry deliveries",
    Role.SUPPORT,
    Role.DEVELOPER,
    Role.DEVOPS,
    Role.SECURITY,
)
CONFIG_APPLY = permission("config.apply", "Plan, apply and export files through the API", Role.DEVOPS)
SETTINGS_VIEW = permission("settings.view", "See what this instance runs with", Role.DEVOPS, Role.SECURITY)
PEOPLE_VIEW = Permission("people.view", "See people, teams, tokens and permissions", INSIDE)
PEOPLE_EDIT = permission("people.edit", "Invite, deactivate and reactivate people, give roles, make tokens")
SELF_EDIT = Permission("self.edit", "Change the own name, password, second factor and sessions", EVERYONE)

PERMISSIONS: list[Permission] = []
"""Those of all wings, for whoever lists them (desk/apps.py). What decides is the permission itself."""
