"""The one door that every request to the API passes, whatever its operation: nothing but JSON comes out of it.

`Api` is ninja's with this door before each address, problem documents for every error, and an OpenAPI document that
tells the whole contract (`describe.py`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, path
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation, PathView
from ninja.renderers import BaseRenderer
from ninja.router import BoundRouter
from ninja.utils import normalize_path, replace_path_param_notation

from mainstay.foundation.accounts.access import public
from mainstay.foundation.api import idempotency, preconditions
from mainstay.foundation.api.access import Needs
from mainstay.foundation.api.describe import describe
from mainstay.foundation.api.parsing import StrictParser, usable
from mainstay.foundation.api.problems import BODY_MOST_BYTES, Problem, answer_to, problem_response

View = Callable[..., HttpResponseBase]


class OrjsonRenderer(BaseRenderer):
    """JSON, times in RFC 3339 with a Z."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        """Return `data` as JSON."""
        return orjson.dumps(data, option=orjson.OPT_UTC_Z)


class Api(NinjaAPI):
    """All operations of Mainstay, behind the door."""

    def __init__(self, *, title: str, version: str, description: str) -> None:
        super().__init__(
            title=title,
            version=version,
            description=description,
            docs_url=None,
            parser=StrictParser(),
            renderer=OrjsonRenderer(),
            urls_namespace="api",
        )
        self._document: bytes = b""
        self.add_exception_handler(Exception, _answer)
        for known in [kind for kind in self._exception_handlers if kind is not Exception]:
            del self._exception_handlers[known]  # ninja's own answers are no problem documents

    def _get_bound_routers(self) -> list[BoundRouter]:
        routers = super()._get_bound_routers()
        for router in routers:
            for view in router.path_operations.values():
                for operation in view.operations:
                    operation.by_alias = True  # names as they are written: `from`, not `since`
        return routers

    def views(self) -> Iterator[tuple[str, PathView]]:
        """Yield each address (`checks/{check_id}`) with its operations."""
        for router in self._get_bound_routers():
            for route, view in router.path_operations.items():
                yield normalize_path(f"{router.prefix}/{route}").strip("/"), view

    def operations(self) -> Iterator[tuple[str, str, Operation]]:
        """Yield address, method and operation, for each there is."""
        for route, view in self.views():
            for operation in view.operations:
                for method in operation.methods:
                    yield route, method, operation

    def _get_urls(self) -> list[URLResolver | URLPattern]:
        return [
            path("openapi.json", door(None, self._show_document)),
            *(path(replace_path_param_notation(route), door(view, view.get_view())) for route, view in self.views()),
        ]

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the function's name: short, stable, readable."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **_options: Any) -> OpenAPISchema:
        """Return the OpenAPI 3.1 document."""
        return describe(self, OpenAPISchema(self, "api/v1/"))

    def _show_document(self, _request: HttpRequest) -> HttpResponse:
        self._document = self._document or orjson.dumps(self.get_openapi_schema())
        return HttpResponse(self._document, content_type="application/json")


def _answer(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    return answer_to(request, error if isinstance(error, Exception) else error())


def door(operations: PathView | None, view: View) -> View:
    """Return `view` behind the door: checks that hold for every request, and errors as problem documents."""

    def enter(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        try:
            response = _enter(request, operations, view, kwargs)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets a problem document, and the log the rest
            response = answer_to(request, error)
        return response

    enter.csrf_exempt = True  # type: ignore[attr-defined]  # sessions are asked for their token by `access.caller`
    return enter


@public
def nothing_here(request: HttpRequest, **_kwargs: Any) -> HttpResponse:
    """Answer 404 for addresses under /api/ that are none."""
    hint = "Addresses have no slash at the end." if request.path.endswith("/") else "See /api/v1/openapi.json."
    return problem_response(404, f"There is nothing at {request.path[:200]}. {hint}")


nothing_here.csrf_exempt = True  # type: ignore[attr-defined]  # it changes nothing, and its answer is a problem document


def _enter(request: HttpRequest, operations: PathView | None, view: View, kwargs: dict[str, Any]) -> HttpResponseBase:
    for place, text in (("address", request.path_info), *((f"parameter {name}", v) for name, v in _given(request))):
        if wrong := usable(text):
            raise Problem(422, f"The {place} {wrong}.")
    if request.method == "HEAD":
        request.method = "GET"  # the server leaves the body out
    if operations is None:
        if request.method != "GET":
            raise _not_allowed({"GET"})
        return view(request, **kwargs)
    operation = next((one for one in operations.operations if request.method in one.methods), None)
    if operation is None:
        raise _not_allowed({method for one in operations.operations for method in one.methods})
    guard = next((one for one in operation.auth_callbacks if isinstance(one, Needs)), None)
    if guard is None:
        raise TypeError(f"{operation.view_func.__name__} declares no permission")
    actor = guard(request)
    _check_size(request)
    _check_query(request, operation)
    if request.method != "GET" and not getattr(operation.view_func, "conditional", False):
        preconditions.need_met(request.headers, None)  # what has no ETag is not as anybody has seen it
    if request.method == "POST" and idempotency.HEADER in request.headers:
        slow = bool(getattr(operation.view_func, "slow", False))
        return idempotency.once(request, actor, lambda: view(request, **kwargs), slow=slow)
    return view(request, **kwargs)


def _given(request: HttpRequest) -> Iterator[tuple[str, str]]:
    for name, values in request.GET.lists():
        yield name[:100].replace("\0", "?"), name
        for value in values:
            yield name[:100].replace("\0", "?"), str(value)


def _not_allowed(methods: set[str]) -> Problem:
    allowed = methods | ({"HEAD"} if "GET" in methods else set())
    allow = ", ".join(sorted(allowed))
    return Problem(405, f"This address takes {allow}.", headers={"Allow": allow})


def _check_size(request: HttpRequest) -> None:
    """Refuse by the declared length what need not be read at all; the parser counts what was read."""
    declared = request.headers.get("Content-Length", "0")
    if declared.isdecimal() and int(declared[:20]) > BODY_MOST_BYTES:
        raise Problem(413, f"A request may have {BODY_MOST_BYTES} bytes at most; this one has {declared[:20]}.")


def _check_query(request: HttpRequest, operation: Operation) -> None:
    """Refuse parameters that the operation does not have, or has once: such a filter would show the wrong list."""
    known = query_names(operation)
    unknown = sorted(name for name in request.GET if name not in known)
    if unknown:
        hint = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        errors = [
            {"parameter": name[:100], "detail": f"no parameter of this operation; {hint}"} for name in unknown[:10]
        ]
        raise Problem(422, f"{unknown[0][:100]} is no parameter of this operation; {hint}.", errors)
    twice = sorted(name for name, values in request.GET.lists() if len(values) > 1)
    if twice:
        detail = "given more than once; it takes one value"
        raise Problem(422, f"{twice[0]}: {detail}.", [{"parameter": name, "detail": detail} for name in twice])


def query_names(operation: Operation) -> set[str]:
    """Return the names of the parameters that an operation takes in the address."""
    return {
        name
        for model in operation.models
        if model.__ninja_param_source__ == "query"
        for name in getattr(model, "__ninja_flatten_map__", {})
    }
