"""The pages of checks and of maintenance."""

from django.urls import path

from mainstay.observe.checks.pages import application, applications, edit_views, maintenance_views, views

urlpatterns = [
    path("applications/", applications.applications, name="applications"),
    path("applications/<slug:name>/days/", application.days, name="application_days"),
    path("checks/", views.checks, name="checks"),
    path("checks/new/", edit_views.CHECK.new, name="check_new"),
    path("checks/try/", edit_views.try_it, name="check_try"),
    path("checks/<id:check_id>/", views.check, name="check"),
    path("checks/<id:check_id>/edit/", edit_views.CHECK.edit, name="check_edit"),
    path("checks/<id:check_id>/probe/", edit_views.probe, name="check_probe"),
    path("checks/<id:check_id>/pause/", edit_views.pause, name="check_pause"),
    path("checks/<id:check_id>/delete/", edit_views.CHECK.delete, name="check_delete"),
    path("maintenance/", maintenance_views.maintenance, name="maintenance"),
    path("maintenance/new/", maintenance_views.WINDOW.new, name="maintenance_new"),
    path("maintenance/<id:maintenance_id>/edit/", maintenance_views.WINDOW.edit, name="maintenance_edit"),
    path("maintenance/<id:maintenance_id>/cancel/", maintenance_views.WINDOW.delete, name="maintenance_cancel"),
]
