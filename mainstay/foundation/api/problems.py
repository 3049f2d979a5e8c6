"""Errors as RFC 9457 problem documents."""

from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    429: "Too many requests",
    503: "Not ready",
}


class Problem(Exception):
    """An error that the caller can mend: status, what is wrong, and per-field errors."""

    def __init__(self, status: int, detail: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors or []


def problem_response(status: int, detail: str, errors: list[dict[str, Any]] | None = None) -> HttpResponse:
    """Return an `application/problem+json` response (RFC 9457 §3).

    `errors` is an extension member: a list of `{"pointer": "/expect/status", "detail": "…"}`.
    """
    document: dict[str, Any] = {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "detail": detail}
    if errors:
        document["errors"] = errors
    response = HttpResponse(orjson.dumps(document), content_type="application/problem+json", status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def validation_response(_request: HttpRequest, found: list[dict[str, Any]]) -> HttpResponse:
    """Return 422 for pydantic's errors, one sentence per field."""
    errors = [
        {"pointer": "/" + "/".join(str(part) for part in error.get("loc", ())), "detail": error.get("msg", "")}
        for error in found
    ]
    first = errors[0] if errors else {"pointer": "", "detail": "not valid"}
    return problem_response(422, f"{first['pointer']}: {first['detail']}", errors)
