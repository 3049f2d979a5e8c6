"""The one permission table. Pages, API and tests derive from it; nothing else decides who may do what."""

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


class Permission(StrEnum):
    """One thing that a role may or may not do."""

    STATUS_VIEW = "status.view"  # applications, their state and uptime
    OPERATIONS_VIEW = "operations.view"  # checks, alerts, deliveries, the journal
    ALERTS_RESPOND = "alerts.respond"  # acknowledge, silence, close
    MAINTENANCE_EDIT = "maintenance.edit"  # announce and cancel maintenance, pause checks
    CHECKS_EDIT = "checks.edit"
    CATALOG_EDIT = "catalog.edit"
    DELIVERY_EDIT = "delivery.edit"  # channels and routes
    CONFIG_APPLY = "config.apply"  # plan, apply and export files through the API
    SETTINGS_VIEW = "settings.view"
    PEOPLE_VIEW = "people.view"
    PEOPLE_EDIT = "people.edit"  # people, teams, roles, tokens, others' sessions
    SELF_EDIT = "self.edit"  # own password, second factor, sessions


_R = Role
_EVERYONE = frozenset(Role)
_INSIDE = _EVERYONE - {_R.STAKEHOLDER}

PERMISSIONS: dict[Permission, frozenset[Role]] = {
    Permission.STATUS_VIEW: _EVERYONE,
    Permission.OPERATIONS_VIEW: _INSIDE,
    Permission.ALERTS_RESPOND: frozenset({_R.SUPPORT, _R.DEVELOPER, _R.DEVOPS, _R.SECURITY, _R.ADMIN}),
    Permission.MAINTENANCE_EDIT: frozenset({_R.SUPPORT, _R.DEVELOPER, _R.DEVOPS, _R.ADMIN}),
    Permission.CHECKS_EDIT: frozenset({_R.DEVELOPER, _R.DEVOPS, _R.ADMIN}),
    Permission.CATALOG_EDIT: frozenset({_R.DEVOPS, _R.ADMIN}),
    Permission.DELIVERY_EDIT: frozenset({_R.DEVOPS, _R.ADMIN}),
    Permission.CONFIG_APPLY: frozenset({_R.DEVOPS, _R.ADMIN}),
    Permission.SETTINGS_VIEW: frozenset({_R.DEVOPS, _R.SECURITY, _R.ADMIN}),
    Permission.PEOPLE_VIEW: _INSIDE,
    Permission.PEOPLE_EDIT: frozenset({_R.ADMIN}),
    Permission.SELF_EDIT: _EVERYONE,
}


def allowed(role: Role, permission: Permission) -> bool:
    """Tell whether `role` holds `permission`."""
    return role in PERMISSIONS[permission]
