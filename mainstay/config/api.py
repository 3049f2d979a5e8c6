"""The API of configuration files: plan, apply, export."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import BaseModel, Field, StringConstraints

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.permissions import CONFIG_APPLY
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.body import read
from mainstay.foundation.api.marks import marked
from mainstay.foundation.api.parsing import body_of, read_json
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.api.types import Body, Search
from mainstay.foundation.clock import now

router = Router()
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")  # RFC 9512, and what came before
FileName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/\\]+$")]


class ConfigText(Body):
    """A configuration file in JSON's clothes."""

    text: str = Field(description="The file's text, YAML.", examples=["applications: [{name: shop}]"])
    file: FileName = Field(default="api", description="What it is managed by, unless the text says `managed_as`.")


class FileOption(BaseModel):
    """The name of a file that is sent as YAML."""

    file: FileName = Field(default="api", description="What it is managed by, unless the text says `managed_as`.")


class FieldChange(BaseModel):
    """A field, before and after; null is the default. Secrets are masked."""

    field: str
    before: Any
    after: Any


class Change(BaseModel):
    """What becomes of one thing."""

    verb: Literal["add", "change", "remove", "keep"]
    kind: str = Field(examples=["check"])
    name: str = Field(examples=["shop/storefront"])
    fields: list[FieldChange]
    adopted: bool = Field(description="It was there, and is managed by this file from now on.")


class ConfigOutcome(BaseModel):
    """What planning or applying a file came to. What stays as it is is only counted."""

    file: str
    managed_as: str
    applied: bool
    changes: list[Change]
    counts: dict[str, int] = Field(examples=[{"add": 3, "change": 1, "remove": 0, "keep": 12, "adopt": 0}])


class ExportOption(BaseModel):
    """What to export."""

    managed_by: Search = Field(default="", description="Only what the file of this name manages.")


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string"}, "example": "applications:\n  - name: shop\n"},
            "application/json": {"schema": {"$ref": "#/components/schemas/ConfigText"}},
        },
    }
}
_YAML_ANSWER = {"responses": {200: {"description": "The file.", "content": {"application/yaml": {}}}}}
Do = Callable[[str | bytes, str, Actor, datetime], Any]


@router.post("/config/plan", auth=needs(CONFIG_APPLY), response=ConfigOutcome, openapi_extra=_BODY)
@marked(models=(ConfigText,))
def plan_config(request: HttpRequest, given: Query[FileOption]) -> dict[str, Any]:
    """Tell what applying a configuration file would change. Nothing is changed.

    `${NAME}` of environment variables is not filled in here: that would read the server's environment.
    """
    from mainstay.config.apply import plan_text  # with its YAML reader, loaded by the first request that needs it

    return _outcome(request, given.file, plan_text)


@router.post("/config/apply", auth=needs(CONFIG_APPLY), response=ConfigOutcome, openapi_extra=_BODY)
@marked(models=(ConfigText,))
def apply_config(request: HttpRequest, given: Query[FileOption]) -> dict[str, Any]:
    """Make everything what a configuration file says; with any mistake in it, nothing is changed.

    A large file is carried out in pieces. Applied again, it changes nothing. `${NAME}` of environment variables is not
    filled in here.
    """
    from mainstay.config.apply import apply_text

    return _outcome(request, given.file, apply_text)


@router.get("/config/export", auth=needs(CONFIG_APPLY), response={200: None}, openapi_extra=_YAML_ANSWER)
def export_config(request: HttpRequest, given: Query[ExportOption]) -> HttpResponse:
    """Return the present configuration as a file, secrets masked.

    Applied to this Mainstay, a mask keeps the secret that is stored. What cannot be read is named in a comment.
    """
    from mainstay.config.export import export

    found = export(now(), managed_by=given.managed_by or None)
    return HttpResponse(found.text(), content_type="application/yaml; charset=utf-8")


def _outcome(request: HttpRequest, file: str, do: Do) -> dict[str, Any]:
    text, name = _text(request, file)
    outcome = do(text, name, actor_of(request), now())
    if not outcome.fine:
        errors = [
            {name: value for name, value in problem.document().items() if value not in ("", 0)}
            for problem in outcome.problems
        ]
        raise Problem(422, f"{outcome.problems[0].shown(outcome.file)}", errors)
    return {name: value for name, value in outcome.document().items() if name in ConfigOutcome.model_fields}


def _text(request: HttpRequest, file: str) -> tuple[str | bytes, str]:
    if request.content_type in YAML_TYPES:
        return body_of(request), file
    if request.content_type == "application/json":
        found = read_json(body_of(request))
        given = read(ConfigText, found)
        return given.text, given.file if "file" in given.model_fields_set else file
    raise Problem(415, "Send the file as application/yaml, or JSON with the members text and file.")
