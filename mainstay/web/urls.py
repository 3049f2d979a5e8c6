"""All addresses of the web process. Each wing brings its own."""

from django.urls import include, path

from mainstay.web import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("", include("mainstay.web.api")),
    path("account/", include("allauth.urls")),
]
