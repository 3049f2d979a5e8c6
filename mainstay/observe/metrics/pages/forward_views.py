"""`/prometheus/api/v1/…`: the Prometheus HTTP API for Grafana, promtool and whoever else speaks it.

Programs send a token, as bearer or as the password of Basic authentication (any user name); a signed-in browser may
read. What is asked is passed to the monitor, or to the server that METRICS_URL names; rules and alerts are our own.
How many of these run at once, and in whose turn, is decided before a thread is taken (`desk/asgi.py`).
"""

import base64
import binascii
import re
from http import HTTPStatus
from urllib.parse import quote

import orjson
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from mainstay.foundation.accounts.access import public
from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import token_actor
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import now
from mainstay.foundation.http.pool import vouch
from mainstay.observe.metrics.client import MetricsAway
from mainstay.observe.metrics.own import OWN
from mainstay.observe.metrics.serve.asked import BadRequest
from mainstay.observe.metrics.servers import client

READ = re.compile(
    r"query|query_range|query_exemplars|series|labels|label/(?!\.\.?/)(?P<label>[^/]+)/values|metadata|format_query"
    r"|parse_query|targets|targets/metadata|scrape_pools|alertmanagers"
    r"|status/(buildinfo|flags|runtimeinfo|tsdb|tsdb/blocks|walreplay)"
)
FORM_MOST_BYTES = 1_000_000


@csrf_exempt  # a session may only GET here, and nothing here changes anything
@public  # guards itself: Basic authentication is no business of other pages
def prometheus(request: HttpRequest, path: str) -> HttpResponse:
    """Answer one request of the Prometheus HTTP API."""
    refused = _refused(request)
    if refused is not None:
        return refused
    if request.method not in {"GET", "POST"}:
        answer = _error(405, "bad_data", "use GET or POST")
        answer["Allow"] = "GET, POST"
        return answer
    if path in OWN:
        try:
            data = orjson.dumps({"status": "success", "data": OWN[path](request, now())})
        except BadRequest as error:
            return _error(400, "bad_data", str(error))
        return HttpResponse(data, content_type="application/json")
    read = READ.fullmatch(path)
    if read is None:
        return _error(404, "not_found", f"there is nothing at /prometheus/api/v1/{path[:200]}")
    if read["label"]:
        path = f"label/{quote(read['label'], safe='')}/values"
    form = None
    if request.method == "POST":
        length = request.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > FORM_MOST_BYTES:
            return _error(413, "bad_data", f"the form is longer than {FORM_MOST_BYTES:,} bytes")
        form = request.body
    try:
        found = client().forward(f"/api/v1/{path}", request.META.get("QUERY_STRING", ""), form)
    except MetricsAway as error:
        return _error(503, "unavailable", str(error))
    return HttpResponse(found.body, status=found.status, content_type="application/json")


@public  # guards itself, too
def liveness(request: HttpRequest, what: str) -> HttpResponse:
    """Answer `/-/healthy`, this process being there, and `/-/ready`: whoever keeps the metrics answers, too."""
    refused = _refused(request)
    if refused is not None:
        return refused
    if request.method not in {"GET", "HEAD"}:
        return HttpResponse("use GET or HEAD\n", status=405, content_type="text/plain", headers={"Allow": "GET, HEAD"})
    if what == "healthy":
        return HttpResponse("Mainstay is healthy.\n", content_type="text/plain")
    try:
        status, why = client().forward("/api/v1/status/buildinfo", "").status, ""
    except MetricsAway as error:
        status, why = 503, f" {error}."
    if status == HTTPStatus.OK:
        return HttpResponse("Mainstay is ready.\n", content_type="text/plain")
    return HttpResponse(f"The metrics are not ready.{why}\n", status=503, content_type="text/plain")


def _refused(request: HttpRequest) -> HttpResponse | None:
    try:
        actor = _caller(request)
        vouch(request.META)
        actor.need(OPERATIONS_VIEW)
    except Problem as problem:
        answer = _error(problem.status, "unauthorized", problem.detail)
        answer["WWW-Authenticate"] = 'Basic realm="Mainstay: a token as the password", charset="UTF-8"'
        return answer
    except NotAllowed as error:
        return _error(403, "forbidden", str(error))
    return None


def _caller(request: HttpRequest) -> Actor:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return token_actor(value.strip())
        case "basic":
            try:
                _, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise Problem(401, "The Authorization header cannot be read.") from None
            return token_actor(password)
    if isinstance(request.user, User) and request.method in {"GET", "HEAD"}:
        return request.user.actor
    raise Problem(401, "Send a token: as a bearer, or as the password of Basic authentication.")


def _error(status: int, kind: str, message: str) -> HttpResponse:
    document = orjson.dumps({"status": "error", "errorType": kind, "error": message})
    return HttpResponse(document, status=status, content_type="application/json")
