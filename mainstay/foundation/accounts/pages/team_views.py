"""Teams: who owns what."""

from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from mainstay.foundation.accounts import actions
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.pages.forms import TeamForm
from mainstay.foundation.accounts.pages.views import tabs
from mainstay.foundation.accounts.permissions import PEOPLE_EDIT, PEOPLE_VIEW
from mainstay.foundation.accounts.resource import TEAMS
from mainstay.foundation.resource import By
from mainstay.kit.editing import Editing
from mainstay.kit.forms import Form
from mainstay.kit.lists import columns, export
from mainstay.kit.replies import posted

COLUMNS = {
    **columns("name email"),
    "members": lambda t: [user.email for user in t.members.all()],
    "applications": lambda t: [application.name for application in t.applications.all()],
    **columns("managed_by"),
}


@needs(PEOPLE_VIEW, "GET")
def teams(request: HttpRequest) -> HttpResponseBase:
    """List teams with their members and what they own."""
    members = Prefetch("members", User.objects.order_by("name", "email"))
    rows = list(Team.objects.prefetch_related(members, "applications").order_by("name"))
    file = export(request, "teams", COLUMNS, rows)
    if file is not None:
        return file
    context: dict[str, Any] = {
        "teams": rows,
        "can_edit": actor_of(request).may(PEOPLE_EDIT),
        "tabs": tabs("teams"),
        "place": "people",
    }
    return render(request, "accounts/teams.html", context)


class TeamPages(Editing[Team]):
    """A team, who is in it, and what it owns."""

    resource, permission, model = TEAMS, PEOPLE_EDIT, Team
    place, by, template = "teams", "pk", "accounts/team_form.html"

    def form_of(self, request: HttpRequest, row: Team | None, **given: str) -> TeamForm:
        initial = {"name": row.name, "email": row.email, "members": row.members.all()} if row else {}
        form = TeamForm(posted(request), initial=initial)
        if row is not None and row.managed_by:
            form.lock()
        return form

    def put(self, form: TeamForm, row: Team | None, by: By) -> Team:
        given = form.cleaned_data
        name, members = given["name"].strip(), list(given["members"])
        return actions.put_team(name, given["email"], members, by.actor, by.at, existing=row)

    def named(self, row: Team) -> str:
        return f"Team {row}"

    def back(self, row: Team) -> str:
        return reverse("team", args=[row.pk])

    def context(self, request: HttpRequest, row: Team | None, form: Form) -> dict[str, Any]:
        return {"owned": list(row.applications.order_by("name")) if row else [], "place": "people"}


TEAM = TeamPages()
