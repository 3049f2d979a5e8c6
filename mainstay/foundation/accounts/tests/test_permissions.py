"""The one permission table: complete, and sane where a slip would hurt."""

import pytest

from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor, NotAllowed, program
from mainstay.foundation.accounts.permissions import PERMISSIONS, ROLE_LABELS, Permission, Role, allowed

READ_ONLY = {Permission.STATUS_VIEW, Permission.SELF_EDIT}


def test_the_table_names_every_permission_and_every_role_has_a_label() -> None:
    assert set(PERMISSIONS) == set(Permission)
    assert set(ROLE_LABELS) == set(Role)
    assert all(role.label for role in Role)


def test_an_administrator_may_everything_and_nobody_else_may_edit_people() -> None:
    assert all(allowed(Role.ADMIN, permission) for permission in Permission)
    assert PERMISSIONS[Permission.PEOPLE_EDIT] == {Role.ADMIN}


def test_a_stakeholder_may_only_look_at_the_status() -> None:
    assert {permission for permission in Permission if allowed(Role.STAKEHOLDER, permission)} == READ_ONLY


def test_whoever_may_change_a_thing_may_see_it() -> None:
    for permission in Permission:
        if permission not in READ_ONLY:
            for role in PERMISSIONS[permission]:
                assert allowed(role, Permission.STATUS_VIEW)
                assert allowed(role, Permission.OPERATIONS_VIEW)


def test_whoever_may_apply_files_may_do_what_files_do() -> None:
    for needed in (
        Permission.CATALOG_EDIT,
        Permission.CHECKS_EDIT,
        Permission.DELIVERY_EDIT,
        Permission.MAINTENANCE_EDIT,
    ):
        assert PERMISSIONS[Permission.CONFIG_APPLY] <= PERMISSIONS[needed]


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", list(Role))
def test_a_refusal_names_the_permission_and_who_has_it(role: Role, permission: Permission) -> None:
    actor = Actor("user:1", "Kim", role)
    if allowed(role, permission):
        actor.need(permission)
        return
    with pytest.raises(NotAllowed) as refused:
        actor.need(permission)
    assert permission.value in str(refused.value)
    assert "admin" in str(refused.value)


def test_the_program_itself_and_the_command_line_may_act() -> None:
    assert program("monitor").may(Permission.CHECKS_EDIT)
    assert COMMAND_LINE.may(Permission.PEOPLE_EDIT)
