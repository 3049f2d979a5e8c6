"""The journal's pages."""

from django.urls import path

from mainstay.foundation.journal.pages import views

urlpatterns = [
    path("journal/", views.journal, name="journal"),
    path("journal/verify/", views.verify_now, name="journal_verify"),
    path("journal/<id:entry_id>/", views.entry, name="journal_entry"),
]
