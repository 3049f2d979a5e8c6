"""What a plain resource gets from a collection: its five operations, and nothing without a text."""

from datetime import datetime
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from ninja import Router
from pydantic import BaseModel

from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import Team
from mainstay.foundation.accounts.permissions import PEOPLE_EDIT, PEOPLE_VIEW
from mainstay.foundation.accounts.resource import TEAMS
from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.api.access import Needs
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.problems import Problem, answer_to
from mainstay.foundation.api.types import Paging
from mainstay.foundation.refusal import Gone
from mainstay.foundation.resource import By


class TeamRow(BaseModel):
    """A team."""

    id: int
    name: str


class TeamFilter(Paging):
    """Which teams."""

    name: str = ""


def teams(router: Router) -> Collection[Team]:
    return Collection(
        router=router,
        resource=TEAMS,
        view=PEOPLE_VIEW,
        edit=PEOPLE_EDIT,
        row=TeamRow,
        filters=TeamFilter,
        narrow={"name": "name"},
        texts={"list": "List.", "create": "Create.", "get": "Show.", "replace": "Replace.", "remove": "Remove."},
    )


def operations(router: Router) -> dict[str, Any]:
    return {one.view_func.__name__: one for view in router.path_operations.values() for one in view.operations}


def request() -> Any:
    made: Any = RequestFactory().get("/")
    made.auth = COMMAND_LINE
    return made


def test_the_operations_are_named_and_guarded() -> None:
    router = Router()
    teams(router).serve()
    guards = {name: one.auth_param for name, one in operations(router).items()}
    assert all(isinstance(guard, Needs) for guard in guards.values())
    assert {name: guard.permission for name, guard in guards.items()} == {
        "list_teams": PEOPLE_VIEW,
        "create_team": PEOPLE_EDIT,
        "get_team": PEOPLE_VIEW,
        "replace_team": PEOPLE_EDIT,
        "remove_team": PEOPLE_EDIT,
    }
    assert list(router.path_operations) == ["/teams", "/teams/{team_id}"]


def test_operations_can_be_served_apart_so_that_others_come_between() -> None:
    router = Router()
    teams(router).serve("list", "create")
    assert list(operations(router)) == ["list_teams", "create_team"]
    with pytest.raises(KeyError):
        Collection(router=router, resource=TEAMS, view=PEOPLE_VIEW, edit=PEOPLE_EDIT, row=TeamRow, texts={}).serve(
            "get"
        )


@pytest.mark.django_db
def test_a_thing_is_created_listed_changed_and_removed() -> None:
    router = Router()
    teams(router).serve()
    call = {name: one.view_func for name, one in operations(router).items()}
    response = HttpResponse()
    made = call["create_team"](request(), response=response, body=TeamSpec(name="core"))
    assert response["Location"] == f"/api/v1/teams/{made['id']}"
    assert call["list_teams"](request(), given=TeamFilter(name="core"))["items"] == [made]
    assert call["list_teams"](request(), given=TeamFilter(name="other"))["items"] == []
    created = response["ETag"]
    changed = call["replace_team"](request(), team_id=made["id"], response=response, body=TeamSpec(name="crew"))
    replaced = response["ETag"]
    assert replaced != created
    shown = call["get_team"](request(), team_id=made["id"], response=response)
    assert (shown, response["ETag"]) == (changed, replaced)
    assert shown == {"id": made["id"], "name": "crew"}
    call["remove_team"](request(), team_id=made["id"])
    with pytest.raises(Problem, match=f"There is no team {made['id']}"):
        call["get_team"](request(), team_id=made["id"], response=response)


@pytest.mark.django_db
def test_what_can_be_done_with_one_is_a_post_below_its_address() -> None:
    router, team = Router(), Team.objects.create(name="core")

    @teams(router).act()
    def rename_team(row: Team, by: By) -> None:
        """Rename it."""
        row.name = by.actor.name
        row.save()

    assert list(router.path_operations) == ["/teams/{team_id}/rename"]
    renamed = operations(router)["rename_team"].view_func(request(), team_id=team.pk)
    assert renamed == {"id": team.pk, "name": COMMAND_LINE.name}


def test_columns_are_read_by_name_and_rows_shown_by_theirs() -> None:
    class Row(BaseModel):
        name: str
        team: str
        size: int

    class Thing:
        name, team = "desk", Team(name="core")

    assert columns(Thing(), Row, size=3) == {"name": "desk", "team": "core", "size": 3}


def test_a_collection_without_a_resource_names_itself() -> None:
    with pytest.raises(TypeError, match="needs a resource"):
        Collection(router=Router(), view=PEOPLE_VIEW, edit=PEOPLE_EDIT, row=TeamRow, texts={})


@pytest.mark.database
@pytest.mark.django_db(transaction=True)
def test_what_was_changed_is_shown_before_anybody_can_remove_it() -> None:
    router, team = Router(), Team.objects.create(name="core")
    made, others = teams(router), []

    def show(row: Team, at: datetime) -> dict[str, Any]:
        others.append(Thread(target=removed, args=(team.pk,)))
        others[-1].start()
        others[-1].join(0.3)  # as long as it may want: it waits for this one
        return columns(Team.objects.get(pk=row.pk), TeamRow)

    made.show = show
    made.serve("replace")
    replace = operations(router)["replace_team"].view_func
    assert replace(request(), team_id=team.pk, response=HttpResponse(), body=TeamSpec(name="crew"))["name"] == "crew"
    others[0].join()
    assert not Team.objects.exists()


def removed(pk: int) -> None:
    Team.objects.filter(pk=pk).delete()
    connection.close()


@pytest.mark.django_db
def test_what_is_stored_and_cannot_be_shown_is_said_to_be_so() -> None:
    def show(row: Team, at: datetime) -> dict[str, Any]:
        raise ValueError("half of it is missing")

    router, team = Router(), Team.objects.create(name="core")
    made = teams(router)
    made.show = show
    made.serve("get")
    with pytest.raises(Problem, match=f"of the team {team.pk} cannot be read: half of it is missing. Write") as found:
        operations(router)["get_team"].view_func(request(), team_id=team.pk, response=HttpResponse())
    assert found.value.status == 409


@pytest.mark.django_db
def test_what_is_gone_meanwhile_is_not_found() -> None:
    assert answer_to(RequestFactory().get("/"), Gone("The team core")).status_code == 404
