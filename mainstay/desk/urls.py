"""All addresses of the web process. Each wing brings its own."""

from django.urls import include, path

from mainstay.desk import applications, health, settings_page
from mainstay.desk.find import find
from mainstay.desk.now import now_page
from mainstay.kit.patterns import patterns

urlpatterns = [
    path("", now_page, name="now"),
    path("find", find, name="find"),
    path("applications/", applications.applications, name="applications"),
    path("applications/<slug:name>/", applications.application, name="application"),
    path("", include("mainstay.foundation.catalog.urls")),
    path("", include("mainstay.observe.checks.urls")),
    path("", include("mainstay.observe.metrics.urls")),
    path("healthz", health.healthz, name="healthz"),
    path("", include("mainstay.desk.api")),
    path("", include("mainstay.foundation.accounts.urls")),
    path("", include("mainstay.foundation.journal.urls")),
    path("", include("mainstay.respond.delivery.urls")),
    path("", include("mainstay.respond.alerts.urls")),
    path("", include("mainstay.respond.rules.urls")),
    path("settings/", settings_page.settings_page, name="settings"),
    path("patterns", patterns, name="patterns"),
]

# Under /api/ errors are problem documents, whoever raises them.
handler400 = "mainstay.desk.api.bad_request"
handler403 = "mainstay.desk.api.forbidden"
handler404 = "mainstay.desk.api.not_found"
handler500 = "mainstay.desk.api.server_error"
