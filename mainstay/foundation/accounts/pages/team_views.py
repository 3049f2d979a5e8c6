"""Teams: who owns what."""

from typing import Any

from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts import actions
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.pages.forms import TeamForm, refuse
from mainstay.foundation.accounts.pages.views import tabs
from mainstay.foundation.accounts.permissions import PEOPLE_EDIT, PEOPLE_VIEW
from mainstay.foundation.refusal import Refused
from mainstay.kit.lists import export
from mainstay.kit.replies import done

COLUMNS = {
    "name": lambda t: t.name,
    "email": lambda t: t.email,
    "members": lambda t: [user.email for user in t.members.all()],
    "applications": lambda t: [application.name for application in t.applications.all()],
    "managed_by": lambda t: t.managed_by,
}


@needs(PEOPLE_VIEW)
@require_safe
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


@needs(PEOPLE_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Add a team."""
    return _edit(request, None)


@needs(PEOPLE_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, team_id: int) -> HttpResponse:
    """Change a team; one that a file manages is shown only."""
    return _edit(request, _team(team_id))


def _edit(request: HttpRequest, team: Team | None) -> HttpResponse:
    initial = {"name": team.name, "email": team.email, "members": team.members.all()} if team else {}
    form = TeamForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            row = actions.put_team(
                given["name"].strip(),
                given["email"],
                list(given["members"]),
                actor_of(request),
                clock.now(),
                existing=team,
            )
        except Refused as error:
            if team is not None:
                team.refresh_from_db()
            refuse(form, error)
        else:
            return done(request, f"Team {row} was saved.", reverse("teams"))
    if team is not None and team.managed_by:
        for field in form.fields.values():
            field.disabled = True
    context = {
        "form": form,
        "team": team,
        "owned": list(team.applications.order_by("name")) if team else [],
        "crumbs": [{"href": reverse("teams"), "label": "Teams"}],
        "place": "people",
    }
    return render(request, "accounts/team_form.html", context, status=422 if form.is_bound else 200)


@needs(PEOPLE_EDIT)
@require_POST
def delete(request: HttpRequest, team_id: int) -> HttpResponse:
    """Remove a team that owns nothing."""
    team = _team(team_id)
    name = team.name
    try:
        actions.remove_team(team, actor_of(request), clock.now())
    except Refused as error:
        return done(request, f"{error}.", reverse("team", args=[team_id]), tone="bad")
    return done(request, f"Team {name} was removed.", reverse("teams"))


def _team(team_id: int) -> Team:
    if team_id > 2**63 - 1:
        raise Http404
    return get_object_or_404(Team, pk=team_id)
