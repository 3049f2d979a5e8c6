"""The OpenAPI document: what ninja derives from signatures, completed by what holds for every operation."""

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

from django.conf import settings
from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.operation import Operation
from pydantic import BaseModel

from mainstay.foundation.api.access import Needs
from mainstay.foundation.api.problems import CONTENT_TYPE, ProblemDocument

if TYPE_CHECKING:
    from mainstay.foundation.api.door import Api

MEANINGS = {
    400: "The body is not JSON.",
    401: "No token and no session, or a token that is not known, has expired or was revoked.",
    403: "The caller's role lacks the permission, or a browser session sent no CSRF token.",
    404: "There is no such thing.",
    409: "Something stands in the way: a name that is taken, a thing that a file manages, a request under way.",
    412: "It is not as `If-Match` or `If-None-Match` says; nothing was changed.",
    413: "The body is larger than 1 MB.",
    415: "The body is not of a media type that this operation takes.",
    422: "A value is not valid; `errors` tells where.",
    429: "Too many such requests at once.",
    503: "The database does not answer or is busy; nothing was changed.",
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": (
        "A fresh key per intended change (a UUID). A repetition within 24 hours gets the first answer again, with"
        " `Idempotency-Replayed: true`, and changes nothing."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "required": False,
    "description": "The `ETag` that GET answered. What was changed since then stays as it is: 412.",
    "schema": {"type": "string", "examples": ['"0f343b0931126a20f133d67c2b018a3b"']},
}
ETAG = {
    "description": "Stands for what people wrote, for `If-Match`.",
    "schema": {"type": "string", "examples": ['"0f343b0931126a20f133d67c2b018a3b"']},
}
SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]


def describe(api: "Api", document: OpenAPISchema) -> OpenAPISchema:
    """Complete `document`: summaries, permissions, problems, Idempotency-Key, the ways to sign in."""
    schemas = document["components"]["schemas"]
    _add(schemas, ProblemDocument)
    for route, method, operation in api.operations():
        for model in getattr(operation.view_func, "models", ()):
            _add(schemas, model)
        address = f"/api/v1/{route}"
        _complete(document["paths"][address][method.lower()], method, operation, address)
    document["components"] = {
        "schemas": _used(document["paths"], schemas),
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "`mainstay token create --role ROLE --name NAME` prints one.",
            },
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.SESSION_COOKIE_NAME,
                "description": "A signed-in browser, which sends its CSRF token in X-CSRFToken with every change.",
            },
        },
    }
    return document


def _complete(entry: dict[str, Any], method: str, operation: Operation, address: str) -> None:
    told = inspect.cleandoc(operation.view_func.__doc__ or "")
    first, _, more = told.partition("\n")
    summary, _, rest = first.partition(". ")
    guard = next(one for one in operation.auth_callbacks if isinstance(one, Needs))
    roles = ", ".join(sorted(role.value for role in guard.permission.roles))
    needs = f"Needs `{guard.permission.name}`, which {roles} have."
    entry["summary"] = summary.rstrip(".")
    entry["description"] = "\n\n".join(part for part in (rest, more.strip(), needs) if part)
    entry["x-permission"] = guard.permission.name
    entry["security"] = SECURITY
    entry["tags"] = [address.split("/")[3]]
    wrong = {401, 403, 422, 503, *getattr(operation.view_func, "problems", ())}
    if "{" in address:
        wrong.add(404)
    if method != "GET":
        wrong |= {409, 413}
    if "requestBody" in entry:
        wrong |= {400, 415}
    if getattr(operation.view_func, "conditional", False) and method != "GET":
        wrong.add(412)
        entry["parameters"] = [*entry.get("parameters", []), IF_MATCH]
    if getattr(operation.view_func, "tagged", False):
        for status in {200, 201} & set(entry["responses"]):
            entry["responses"][status]["headers"] = {"ETag": ETAG}
    if method == "POST":
        entry["parameters"] = [*entry.get("parameters", []), IDEMPOTENCY_KEY]
    for status in sorted(wrong):
        entry["responses"].setdefault(
            status,
            {
                "description": MEANINGS[status],
                "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
            },
        )
    entry["responses"] = {str(status): answer for status, answer in entry["responses"].items()}
    for parameter in entry["parameters"]:
        parameter["schema"].pop("title", None)  # made of the name, it says nothing
        parameter.pop("examples", None)  # ninja's copy of the schema's list; beside the schema only a map is valid


def _add(schemas: dict[str, Any], model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template=REF_TEMPLATE)
    schemas |= schema.pop("$defs", {})
    schemas[model.__name__] = schema


def _used(paths: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas that the paths refer to, directly or through others, by name."""
    found: set[str] = set()
    work = _references(paths)
    while work:
        name = work.pop()
        if name not in found:
            found.add(name)
            work |= _references(schemas[name])
    return {name: schemas[name] for name in sorted(found)}


def _references(part: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(part)))
