"""The permissions of all wings: sane where a slip would hurt."""

import pytest

from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor, NotAllowed, program
from mainstay.foundation.accounts.permissions import (
    CONFIG_APPLY,
    OPERATIONS_VIEW,
    PEOPLE_EDIT,
    PERMISSIONS,
    ROLE_LABELS,
    SELF_EDIT,
    STATUS_VIEW,
    Permission,
    Role,
)
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.respond.delivery.wing import DELIVERY_EDIT

READ_ONLY = {STATUS_VIEW, SELF_EDIT}


def test_each_permission_has_a_name_of_its_own_and_every_role_a_label() -> None:
    assert len({permission.name for permission in PERMISSIONS}) == len(PERMISSIONS) > 10
    assert all(permission.meaning for permission in PERMISSIONS)
    assert set(ROLE_LABELS) == set(Role)
    assert all(role.label for role in Role)


def test_an_administrator_may_everything_and_nobody_else_may_edit_people() -> None:
    assert all(Role.ADMIN in permission.roles for permission in PERMISSIONS)
    assert PEOPLE_EDIT.roles == {Role.ADMIN}


def test_a_stakeholder_may_only_look_at_the_status() -> None:
    assert {permission for permission in PERMISSIONS if Role.STAKEHOLDER in permission.roles} == READ_ONLY


def test_whoever_may_change_a_thing_may_see_it() -> None:
    for permission in PERMISSIONS:
        if permission not in READ_ONLY:
            assert permission.roles <= STATUS_VIEW.roles
            assert permission.roles <= OPERATIONS_VIEW.roles


def test_whoever_may_apply_files_may_do_what_files_do() -> None:
    for needed in (
        CATALOG_EDIT,
        CHECKS_EDIT,
        DELIVERY_EDIT,
        MAINTENANCE_EDIT,
    ):
        assert CONFIG_APPLY.roles <= needed.roles


@pytest.mark.parametrize("permission", PERMISSIONS, ids=str)
@pytest.mark.parametrize("role", list(Role))
def test_a_refusal_names_the_permission_and_who_has_it(role: Role, permission: Permission) -> None:
    actor = Actor("user:1", "Kim", role)
    if role in permission.roles:
        actor.need(permission)
        return
    with pytest.raises(NotAllowed) as refused:
        actor.need(permission)
    assert permission.name in str(refused.value)
    assert "admin" in str(refused.value)


def test_the_program_itself_and_the_command_line_may_act() -> None:
    assert program("monitor").may(CHECKS_EDIT)
    assert COMMAND_LINE.may(PEOPLE_EDIT)
