"""`/api/v1/`: the operations of all wings, composed; and Mainstay's own metrics."""

import sys
import time

from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import BadRequest, DisallowedHost, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import redirect
from django.template import loader
from django.urls import path, re_path
from django.views import defaults

from mainstay import __version__
from mainstay.desk.selfmetrics import metrics
from mainstay.foundation.api.door import Api, nothing_here
from mainstay.foundation.api.problems import DATABASE_AWAY_RETRY_S, LINE_MOST, problem_response
from mainstay.foundation.dotted import named
from mainstay.foundation.processes.outage import is_refusal, outage, words
from mainstay.wings import WINGS

UNKNOWN_HOST = (
    "Mainstay does not answer under this host name. Set MAINSTAY_BASE_URL to the address that people use, "
    "or add the name to MAINSTAY_HOSTS, and restart it."
)
DESCRIPTION = """The HTTP API of Mainstay. docs/api.md tells it as a story; this document is its reference.

- Sign in with `Authorization: Bearer <token>`.
- Lists are pages: `{"items": […], "next": "…"}`; pass `next` as `cursor` until it is null.
- Errors are problem documents (RFC 9457).
- `Idempotency-Key` on POST makes a repetition harmless.
- Times are RFC 3339 in UTC, durations in seconds (or, in what people write, `800ms`, `5s`, `2h`).
"""

api = Api(title="Mainstay", version=__version__, description=DESCRIPTION)
for wing in WINGS:
    for router in wing.routers:
        api.add_router("", named(wing, "routers", router))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refuses before any view (handler400), such as a foreign Host header."""
    _settle_form(request)
    foreign = isinstance(exception, DisallowedHost)
    if _is_ours(request):
        return problem_response(
            400, UNKNOWN_HOST if foreign else "The request cannot be taken: its session is not valid."
        )
    if isinstance(exception, SessionInterrupted):  # signed out by another request or, as by a new address, by this one
        return redirect("account_login")
    if foreign:
        return HttpResponse(loader.get_template("foreign_host.html").render(), status=400)
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what went wrong outside any view (handler500); while the database is away, that is 503."""
    error = sys.exception()
    if error is not None and is_refusal(error):
        return database_away(request, error)
    if _is_ours(request):
        return problem_response(500, "This is a defect of Mainstay, not of the request. Its log has the details.")
    _settle_form(request)
    return defaults.server_error(request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for an address that is none (handler404)."""
    _settle_form(request)
    return defaults.page_not_found(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what the sign-in library refuses (handler403)."""
    _settle_form(request)
    return defaults.permission_denied(request, exception)


def _settle_form(request: HttpRequest) -> None:
    """Let a form that cannot be read count as empty: Django's pages for errors look for its token and would fail."""
    try:
        _ = request.POST
    except (BadRequest, MultiPartParserError, SuspiciousOperation, OSError):
        request._mark_post_parse_error()  # type: ignore[attr-defined]  # as Django does for some of these


def database_away(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Answer that the database refuses: 503, to be tried again."""
    outage.one_off(f"{request.method} {request.path}"[:LINE_MOST], error, time.monotonic())
    retry = {"Retry-After": str(DATABASE_AWAY_RETRY_S)}
    if _is_ours(request):
        response = problem_response(503, f"The database {words(error)}. Nothing was changed; try again.", headers=retry)
    else:
        text = loader.get_template("503.html").render({"wrong": words(error)})
        response = HttpResponse(text, status=503, headers=retry)
    response._has_been_logged = True  # type: ignore[attr-defined]  # else Django writes a traceback for each request
    return response


def _is_ours(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


urlpatterns = [
    path("metrics", metrics, name="metrics"),
    path("api/v1/", api.urls),
    re_path(r"^api(?:/|$)", nothing_here),
]
