"""All addresses of the web process. Each wing brings its own."""

from django.urls import include, path

from mainstay.web import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("account/", include("allauth.urls")),
]
