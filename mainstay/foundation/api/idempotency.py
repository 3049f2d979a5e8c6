"""`Idempotency-Key` on POST: what was done once is not done again, its answer is given again.

(IETF draft-ietf-httpapi-idempotency-key-header.) The unique constraint on caller and key arbitrates between processes.
The claim of a key is committed first; the answer is stored in the transaction of the change itself, so that a process
that is killed has either done and remembered it, or neither.
"""

import base64
import hashlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import orjson
from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.api.models import IdempotentRequest
from mainstay.foundation.api.parsing import body_of
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.secrets import LostKey, seal, unseal

log = logging.getLogger("mainstay.api")
HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT = timedelta(hours=24)
CLAIM = timedelta(minutes=3)  # a request that has not ended by then never will: its process was killed
KEY_LONGEST = 255
FORGOTTEN_AT_ONCE = 5_000
_KEPT_HEADERS = ("Location", "ETag")

Run = Callable[[], HttpResponseBase]


def once(request: HttpRequest, actor: Actor, run: Run, *, slow: bool = False) -> HttpResponseBase:
    """Return what `run` answers to the first request with this key, or the stored answer to a repeated one.

    Args:
        slow: `run` changes nothing in the database and may take seconds; it must not hold a transaction open.

    Raises:
        Problem: 422 for a bad key or one that was used for another request, 409 while the first request runs.
        DatabaseError: nothing was changed.
    """
    row, stored = _claim(request, actor, clock_now())
    if stored is not None:
        return stored
    try:
        if slow:
            response = run()
            if response.status_code < 500:
                _keep(row, response)
        else:
            with transaction.atomic():
                response = run()
                if response.status_code < 500:
                    _keep(row, response)
                else:
                    transaction.set_rollback(True)
    except BaseException:
        _give_back(row)
        raise
    if response.status_code >= 500:
        _give_back(row)
    return response


def forget(now: datetime) -> bool:
    """Delete answers older than a day; return whether more are left. For the worker's clean-up."""
    old = list(
        IdempotentRequest.objects.filter(created_at__lt=now - KEPT)
        .order_by("created_at")
        .values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE]
    )
    IdempotentRequest.objects.filter(pk__in=old).delete()
    return len(old) == FORGOTTEN_AT_ONCE


def _claim(request: HttpRequest, actor: Actor, at: datetime) -> tuple[IdempotentRequest, HttpResponse | None]:
    key = request.headers[HEADER]
    if not 1 <= len(key) <= KEY_LONGEST or not all("!" <= letter <= "~" for letter in key):
        raise _refusal(422, f"give 1 to {KEY_LONGEST} visible ASCII characters, best a fresh UUID")
    fingerprint = hashlib.sha256(
        b"\0".join((f"{request.method} {request.get_full_path()}".encode(), body_of(request)))
    ).hexdigest()
    row = IdempotentRequest(actor=actor.key[:100], key=key, fingerprint=fingerprint, created_at=at)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
        return row, None
    except IntegrityError:
        pass
    found = IdempotentRequest.objects.filter(actor=row.actor, key=key).first()
    if found is None:  # given back between our two statements
        raise _busy()
    if found.created_at < at - KEPT:
        return _take_over(found, at, fingerprint), None
    if found.fingerprint != fingerprint:
        raise _refusal(422, "was used for another request within 24 hours; take a fresh key for this one")
    if found.status is not None:
        return found, _stored(found)
    if abs(found.created_at - at) <= CLAIM:  # later than that from now: of before the clock was set back
        raise _busy()
    return _take_over(found, at, fingerprint), None


def _take_over(found: IdempotentRequest, at: datetime, fingerprint: str) -> IdempotentRequest:
    """Begin anew where a killed process or an old answer left its row; only one of many can."""
    mine = IdempotentRequest.objects.filter(pk=found.pk, created_at=found.created_at)
    if not mine.update(created_at=at, fingerprint=fingerprint, status=None, body=None):
        raise _busy()
    found.created_at, found.status, found.body = at, None, None
    return found


def _keep(row: IdempotentRequest, response: HttpResponseBase) -> None:
    """Store the answer, encrypted, since it may show a secret once (a new token)."""
    if not isinstance(response, HttpResponse):
        raise TypeError("an operation that streams cannot honour Idempotency-Key")
    answer = {
        "headers": {name: response[name] for name in ("Content-Type", *_KEPT_HEADERS) if name in response},
        "body": base64.b64encode(response.content).decode("ascii"),
    }
    sealed = seal(orjson.dumps(answer).decode(), settings.SECRET_KEY).encode("ascii")
    mine = IdempotentRequest.objects.filter(pk=row.pk, created_at=row.created_at, status=None)
    if not mine.update(status=response.status_code, body=sealed):
        raise _busy()  # this request took longer than its claim, and another took it over: nothing of it is kept


def _stored(row: IdempotentRequest) -> HttpResponse:
    try:
        answer = orjson.loads(unseal(bytes(row.body or b"").decode("ascii"), settings.SECRET_KEY))
    except LostKey:
        raise _refusal(
            409, "was used before, and its stored answer cannot be read any more; take a fresh key"
        ) from None
    response = HttpResponse(base64.b64decode(answer["body"]), status=row.status, headers=answer["headers"])
    response[REPLAYED] = "true"
    return response


def _give_back(row: IdempotentRequest) -> None:
    try:
        IdempotentRequest.objects.filter(pk=row.pk, created_at=row.created_at, status=None).delete()
    except DatabaseError as error:
        log.warning("an idempotency key stays claimed for %s: %s", CLAIM, error)


def _busy() -> Problem:
    return Problem(409, "A request with this Idempotency-Key is under way. Try again.", headers={"Retry-After": "1"})


def _refusal(status: int, detail: str) -> Problem:
    return Problem(status, f"{HEADER}: {detail}.", [{"parameter": HEADER, "detail": detail}])
