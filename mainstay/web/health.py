"""`/healthz` and `/metrics`: how Mainstay itself is."""

import orjson
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from mainstay.foundation.accounts.access import public
from mainstay.foundation.clock import now
from mainstay.foundation.processes.beat import health


@public
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 while all processes are alive and their cycles on time, else 503 (DESIGN §8)."""
    try:
        found = health(now())
    except DatabaseError:
        document = {"status": "failing", "processes": {}, "detail": "the database does not answer"}
        return HttpResponse(orjson.dumps(document), content_type="application/json", status=503)
    fine = all(process.status == "ok" for process in found.values())
    document = {
        "status": "ok" if fine else "failing",
        "processes": {role: {"status": process.status, "lag_s": process.lag_s} for role, process in found.items()},
    }
    return HttpResponse(orjson.dumps(document), content_type="application/json", status=200 if fine else 503)
