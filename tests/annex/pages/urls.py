"""The pages of contracts."""

from django.urls import path

from tests.annex.pages import views

urlpatterns = [
    path("contracts/", views.contracts, name="contracts"),
    path("new-contract/", views.CONTRACT.new, name="contract_new"),
    path("contracts/<slug:name>/", views.contract, name="contract"),
    path("contracts/<slug:name>/edit/", views.CONTRACT.edit, name="contract_edit"),
    path("contracts/<slug:name>/delete/", views.CONTRACT.delete, name="contract_delete"),
    path("contracts/<slug:name>/call/", views.call, name="contract_call"),
]
