"""The OpenAPI document: what ninja derives from signatures, completed by what holds for every operation."""

import inspect
from typing import TYPE_CHECKING, Any

from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.operation import Operation

from mainstay.foundation.accounts.permissions import PERMISSIONS
from mainstay.foundation.api.access import Needs
from mainstay.foundation.api.problems import CONTENT_TYPE, ProblemDocument

if TYPE_CHECKING:
    from mainstay.foundation.api.door import Api

MEANINGS = {
    400: "The body is not JSON.",
    401: "No token and no session, or a token that is not known, has expired or was revoked.",
    403: "The caller's role lacks the permission, or a browser session sent no CSRF token.",
    404: "There is no such thing.",
    405: "Not a method of this address.",
    409: "Something stands in the way: a name that is taken, a thing that a file manages, a request under way.",
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
SECURITY = [{"token": []}, {"session": []}]


def describe(api: "Api", document: OpenAPISchema) -> OpenAPISchema:
    """Complete `document`: summaries, permissions, problems, Idempotency-Key, the ways to sign in."""
    for route, method, operation in api.operations():
        address = next(known for known in document["paths"] if _bare(known) == _bare(f"/api/v1/{route}"))
        _complete(document["paths"][address][method.lower()], method, operation, address)
    schemas = document["components"]["schemas"]
    problem = ProblemDocument.model_json_schema(ref_template=REF_TEMPLATE)
    schemas |= problem.pop("$defs")
    schemas["ProblemDocument"] = problem
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "`mainstay token create --role ROLE --name NAME`"},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "A signed-in browser, which sends its CSRF token in X-CSRFToken with every change.",
        },
    }
    return document


def _complete(entry: dict[str, Any], method: str, operation: Operation, address: str) -> None:
    sentence, _, rest = inspect.cleandoc(operation.view_func.__doc__ or "").partition("\n")
    guard = next(one for one in operation.auth_callbacks if isinstance(one, Needs))
    roles = ", ".join(sorted(role.value for role in PERMISSIONS[guard.permission]))
    entry["summary"] = sentence.rstrip(".")
    entry["description"] = f"{rest.strip()}\n\nNeeds `{guard.permission.value}`, which {roles} have.".strip()
    entry["x-permission"] = guard.permission.value
    entry["security"] = SECURITY
    entry["tags"] = [address.split("/")[3]]
    for name, value in list(entry.items()):
        if value is None:
            del entry[name]
    wrong = {401, 403, 405, 422, 503}
    if "{" in address:
        wrong.add(404)
    if method != "GET":
        wrong |= {409, 413}
    if "requestBody" in entry:
        wrong |= {400, 415}
    if method == "POST":
        entry["parameters"] = [*entry.get("parameters", []), IDEMPOTENCY_KEY]
    wrong |= set(getattr(operation.view_func, "problems", ()))
    for status in sorted(wrong):
        entry["responses"].setdefault(
            status,
            {
                "description": MEANINGS[status],
                "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
            },
        )
    entry["responses"] = {str(status): answer for status, answer in entry["responses"].items()}
    for parameter in entry.get("parameters", []):
        _tidy(parameter.get("schema", {}))


def _bare(address: str) -> str:
    return address.strip("/")


def _tidy(schema: dict[str, Any]) -> None:
    """Titles that pydantic makes of names say nothing."""
    schema.pop("title", None)
