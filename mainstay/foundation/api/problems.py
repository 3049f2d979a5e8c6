"""Errors as RFC 9457 problem documents, and which exception becomes which."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, DataError, IntegrityError, connection
from django.http import Http404, HttpRequest, HttpResponse
from ninja.errors import HttpError, ValidationError
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.actor import NotAllowed
from mainstay.foundation.processes.outage import outage
from mainstay.foundation.refusal import Gone, Refused
from mainstay.foundation.secrets import LostKey
from mainstay.foundation.words.explained import detail_of, sentence

log = logging.getLogger("mainstay.api")
CONTENT_TYPE = "application/problem+json"
BODY_MOST_BYTES = 1_000_000
DATABASE_AWAY_RETRY_S = 5
LINE_MOST = 200

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    429: "Too many requests",
    500: "Internal error",
    503: "Not ready",
}


class FieldProblem(BaseModel):
    """What is wrong with one value: `pointer` into the body (RFC 6901), or `parameter` of the address or a header."""

    pointer: str | None = Field(default=None, examples=["/http/url"], description="Place in the body (RFC 6901).")
    parameter: str | None = Field(default=None, examples=["limit"], description="Parameter of the address, or header.")
    detail: str
    line: int | None = Field(default=None, description="In a configuration file.")
    column: int | None = Field(default=None, description="In a configuration file.")
    path: str | None = Field(default=None, description="In a configuration file.", examples=["channels[ops].webhook"])


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(default="about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not valid"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["every: must be at least 1s"], description="What is wrong, and how to mend it.")
    errors: list[FieldProblem] | None = Field(default=None, description="One entry per value that is wrong.")


class Problem(Exception):
    """An error that the caller can mend: status, what is wrong, per-field errors, further headers."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Mapping[str, object]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}


def problem_response(
    status: int, detail: str, errors: Sequence[Mapping[str, object]] = (), headers: dict[str, str] | None = None
) -> HttpResponse:
    """Return an `application/problem+json` response (RFC 9457 §3).

    `errors` is an extension member: a list of `{"pointer": "/expect/status", "detail": "…"}`.
    """
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    if errors:
        document["errors"] = list(errors)
    response = HttpResponse(orjson.dumps(document), content_type=CONTENT_TYPE, status=status, headers=headers)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def not_found(what: str, which: object) -> Problem:
    """Return the 404 of a thing that is not there."""
    return Problem(404, f"There is no {what} {which}.")


Answer = Callable[[Exception], HttpResponse]
_more: dict[type[Exception], Answer] = {}


def answers(kind: type[Exception], answer: Answer) -> None:
    """Let `answer` turn exceptions of `kind` into a response (for wings above this one)."""
    _more[kind] = answer


def answer_to(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the problem that an exception amounts to. What is a defect of ours is logged and becomes a 500."""
    for kind, answer in _more.items():
        if isinstance(exception, kind):
            return answer(exception)
    match exception:
        case Problem():
            return problem_response(exception.status, exception.detail, exception.errors, exception.headers)
        case NotAllowed():
            return problem_response(403, str(exception))
        case Gone():
            return problem_response(404, sentence(exception.detail))
        case Refused():
            errors = (
                [{"pointer": pointer(exception.field.split(".")), "detail": exception.detail}]
                if exception.field
                else []
            )
            return problem_response(
                409 if exception.conflict else 422, sentence(exception.detail, exception.field), errors
            )
        case ValidationError():
            return _not_valid(exception.errors)
        case HttpError() if isinstance(exception.__cause__, Problem):
            return answer_to(request, exception.__cause__)
        case HttpError():
            return problem_response(exception.status_code, str(exception))
        case Http404():
            return problem_response(404, "There is nothing at this address.")
        case RequestDataTooBig():
            return problem_response(413, f"A request may have {BODY_MOST_BYTES} bytes at most.")
        case OverflowError():
            return problem_response(422, "A number or a time is out of range.")
        case LostKey():
            return problem_response(409, sentence(str(exception)))
        case DatabaseError():
            return _database(request, exception)
    log.error("%s %s failed", request.method, request.path, exc_info=exception)
    return problem_response(500, "This is a defect of Mainstay, not of the request. Its log has the details.")


def _database(request: HttpRequest, error: DatabaseError) -> HttpResponse:
    if isinstance(error, IntegrityError):
        return problem_response(409, "Somebody else changed the same thing at the same time. Read it again and retry.")
    if isinstance(error, DataError):
        return problem_response(422, "A value is out of the range that the database can store.")
    outage.one_off(f"{request.method} {request.path}"[:LINE_MOST], error, time.monotonic())
    if not connection.in_atomic_block:
        connection.close()
    retry = {"Retry-After": str(DATABASE_AWAY_RETRY_S)}
    return problem_response(
        503, "The database does not answer or is busy. Nothing was changed; try again.", headers=retry
    )


def _not_valid(found: Sequence[dict[str, Any]]) -> HttpResponse:
    """Return 422 for what ninja found wrong with parameters or body."""
    errors = []
    for one in found:
        where, *rest = one.get("loc", ("body",))
        detail = detail_of(one)
        if where == "body":
            errors.append({"pointer": pointer(rest[1:]), "detail": detail})
        else:
            errors.append({"parameter": ".".join(map(str, rest)), "detail": detail})
    return invalid_response(errors)


def invalid_response(errors: Sequence[Mapping[str, object]]) -> HttpResponse:
    """Return 422; the detail tells the first of `errors`."""
    return problem_response(422, first_of(errors), errors)


def first_of(errors: Sequence[Mapping[str, object]]) -> str:
    """Return the first error as a sentence with its place."""
    first = errors[0] if errors else {"detail": "not valid"}
    place = str(first.get("parameter", "")) or str(first.get("pointer", "")).strip("/").replace("/", ".")
    return sentence(str(first["detail"]), place)


def pointer(parts: Sequence[object]) -> str:
    """Return a JSON pointer (RFC 6901); the empty text is the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
