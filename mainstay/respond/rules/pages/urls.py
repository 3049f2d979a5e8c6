"""The pages of rules."""

from django.urls import path

from mainstay.respond.rules.pages import edit_views, starter_views, views

urlpatterns = [
    path("rules/", views.rules, name="rules"),
    path("rules/sparks", views.sparks, name="rule_sparks"),
    path("rules/new", edit_views.RULE.new, name="rule_new"),
    path("rules/starter", starter_views.starter, name="rule_starter"),
    path("rules/starter/<slug:pack>/add", starter_views.add, name="rule_starter_add"),
    path("rules/preview", edit_views.show_preview, name="rule_preview"),
    path("rules/<id:rule_id>/edit", edit_views.RULE.edit, name="rule_edit"),
    path("rules/<id:rule_id>/delete", edit_views.RULE.delete, name="rule_delete"),
    path("rules/alerts/<id:raised_id>/course", views.alert_course, name="alert_course"),
    path("rules/<id:rule_id>/", views.rule, name="rule"),
    path("rules/<id:rule_id>/course", views.course, name="rule_course"),
]
