"""`/healthz` and `/metrics`: how Mainstay itself is."""

import time
from typing import Any

import orjson
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from mainstay.foundation.accounts.access import public
from mainstay.foundation.clock import now
from mainstay.foundation.processes import canary
from mainstay.foundation.processes.beat import health
from mainstay.foundation.processes.outage import outage, words


@public
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 while all processes are alive and their cycles on time, else 503 (DESIGN §8)."""
    refused = outage.present(time.monotonic())
    if refused:  # who cannot write its beat is not missing
        return _answer(f"the database {refused}")
    try:
        found = health(now())
        if not canary.fits(settings.SECRET_KEY):
            return _answer(canary.WRONG_KEY)
    except DatabaseError as error:
        return _answer(f"the database {words(error)}")
    fine = all(process.status == "ok" for process in found.values())
    processes = {role: {"status": process.status, "lag_s": process.lag_s} for role, process in found.items()}
    return _answer("", processes, fine=fine)


def _answer(detail: str, processes: dict[str, Any] | None = None, *, fine: bool = False) -> HttpResponse:
    document = {"status": "ok" if fine else "failing", "processes": processes or {}}
    if detail:
        document["detail"] = detail
    response = HttpResponse(orjson.dumps(document), content_type="application/json", status=200 if fine else 503)
    response._has_been_logged = True  # type: ignore[attr-defined]  # what is wrong is in the log, once
    return response
