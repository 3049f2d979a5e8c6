"""The forms of applications. Their list is of the checks; their pages are composed by the desk."""

from django.urls import path

from mainstay.foundation.catalog.pages import views

urlpatterns = [
    path("add/application/", views.new, name="application_new"),  # not below applications/: one may be called "new"
    path("applications/<slug:name>/edit/", views.edit, name="application_edit"),
    path("applications/<slug:name>/delete/", views.remove, name="application_delete"),
]
