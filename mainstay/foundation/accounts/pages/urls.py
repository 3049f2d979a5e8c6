"""The pages of people, and the way in by a one-time link."""

from allauth.urls import urlpatterns as allauth_patterns
from django.urls import include, path

from mainstay.foundation.accounts import signin
from mainstay.foundation.accounts.pages import own_views, team_views, token_views, views

urlpatterns = [
    path("account/", include(list(signin.pages(allauth_patterns)))),
    path("people/", views.people, name="people"),
    path("people/invite", views.invite, name="person_invite"),
    path("people/permissions/", views.permissions, name="permissions"),
    path("people/<id:user_id>/", views.person, name="person"),
    path("people/<id:user_id>/link", views.link, name="person_link"),
    path("people/<id:user_id>/sign-out", views.sign_out, name="person_sign_out"),
    path("people/<id:user_id>/second-factor", views.second_factor, name="person_second_factor"),
    path("people/<id:user_id>/deactivate", views.deactivate, name="person_deactivate"),
    path("people/<id:user_id>/reactivate", views.reactivate, name="person_reactivate"),
    path("teams/", team_views.teams, name="teams"),
    path("teams/new", team_views.TEAM.new, name="team_new"),
    path("teams/<id:team_id>/", team_views.TEAM.edit, name="team"),
    path("teams/<id:team_id>/delete", team_views.TEAM.delete, name="team_delete"),
    path("tokens/", token_views.tokens, name="tokens"),
    path("tokens/new", token_views.create, name="token_new"),
    path("tokens/<id:token_id>/revoke", token_views.revoke, name="token_revoke"),
    path("me/", own_views.me, name="profile"),
    path("me/sessions/<id:session_id>/revoke", own_views.revoke, name="session_revoke"),
    path("me/sessions/revoke", own_views.revoke_others, name="sessions_revoke"),
    path("sign-in/password", own_views.password, name="sign_in_password"),
    path("sign-in/<str:token>", own_views.sign_in, name="sign_in"),
]
