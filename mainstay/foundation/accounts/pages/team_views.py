"""Teams: who owns what."""

from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts import actions
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.pages.forms import TeamForm
from mainstay.foundation.accounts.pages.views import tabs
from mainstay.foundation.accounts.permissions import PEOPLE_EDIT, PEOPLE_VIEW
from mainstay.kit.lists import export
from mainstay.kit.replies import attempt, done, form_page, posted, saved

COLUMNS = {
    "name": lambda t: t.name,
    "email": lambda t: t.email,
    "members": lambda t: [user.email for user in t.members.all()],
    "applications": lambda t: [application.name for application in t.applications.all()],
    "managed_by": lambda t: t.managed_by,
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


@needs(PEOPLE_EDIT, "GET", "POST")
def create(request: HttpRequest) -> HttpResponse:
    """Add a team."""
    return _edit(request, None)


@needs(PEOPLE_EDIT, "GET", "POST")
def edit(request: HttpRequest, team_id: int) -> HttpResponse:
    """Change a team; one that a file manages is shown only."""
    return _edit(request, _team(team_id))


def _edit(request: HttpRequest, team: Team | None) -> HttpResponse:
    initial = {"name": team.name, "email": team.email, "members": team.members.all()} if team else {}
    form = TeamForm(posted(request), initial=initial)
    if team is not None and team.managed_by:
        form.lock()

    def put() -> Team:
        given = form.cleaned_data
        members = list(given["members"])
        return actions.put_team(
            given["name"].strip(), given["email"], members, actor_of(request), clock.now(), existing=team
        )

    if row := saved(form, put, team):
        return done(request, f"Team {row} was saved.", reverse("teams"))
    context = {
        "team": team,
        "owned": list(team.applications.order_by("name")) if team else [],
        "crumbs": [{"href": reverse("teams"), "label": "Teams"}],
        "place": "people",
    }
    return form_page(request, "accounts/team_form.html", form, context)


@needs(PEOPLE_EDIT, "POST")
def delete(request: HttpRequest, team_id: int) -> HttpResponse:
    """Remove a team that owns nothing."""
    team = _team(team_id)
    name = team.name
    return attempt(
        request,
        lambda: actions.remove_team(team, actor_of(request), clock.now()),
        f"Team {name} was removed.",
        reverse("teams"),
        back=reverse("team", args=[team_id]),
    )


def _team(team_id: int) -> Team:
    return get_object_or_404(Team, pk=team_id)
