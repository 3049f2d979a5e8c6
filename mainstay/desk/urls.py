"""All addresses of the web process. Each wing brings its own."""

from django.urls import include, path

from mainstay.desk import health, settings_page
from mainstay.desk.application import application
from mainstay.desk.find import find
from mainstay.desk.now import now_page
from mainstay.foundation.dotted import module
from mainstay.wings import WINGS

urlpatterns = [
    path("", now_page, name="now"),
    path("find", find, name="find"),
    path("applications/<slug:name>/", application, name="application"),
    path("healthz", health.healthz, name="healthz"),
    path("settings/", settings_page.settings_page, name="settings"),
    path("", include("mainstay.desk.api")),
    *(path("", include(module(wing, "urls", wing.urls))) for wing in WINGS if wing.urls),
]

# Under /api/ errors are problem documents, whoever raises them.
handler400 = "mainstay.desk.api.bad_request"
handler403 = "mainstay.desk.api.forbidden"
handler404 = "mainstay.desk.api.not_found"
handler500 = "mainstay.desk.api.server_error"
