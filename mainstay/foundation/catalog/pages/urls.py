"""The forms of applications. Their list is of the checks; their pages are composed by the desk."""

from django.urls import path

from mainstay.foundation.catalog.pages.views import APPLICATION

urlpatterns = [
    # Not below applications/: one may be called "new".
    path("add/application/", APPLICATION.new, name="application_new"),
    path("applications/<slug:name>/edit/", APPLICATION.edit, name="application_edit"),
    path("applications/<slug:name>/delete/", APPLICATION.delete, name="application_delete"),
]
