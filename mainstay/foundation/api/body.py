"""Bodies that are validated by hand: those in which a mask may stand for a secret that is stored already.

@router.post("/checks/try")
def try_check(request, body: Annotated[Document, Described(CheckSpec)]):
    spec = read(CheckSpec, body)
"""

from typing import Any, TypeVar

from pydantic import BaseModel, Field, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mainstay.foundation.api.problems import Problem, first_of, pointer
from mainstay.foundation.secrets import LEFT_MASK, left_mask
from mainstay.foundation.words.explained import faults

B = TypeVar("B", bound=BaseModel)
Document = dict[str, Any]


class Described:
    """Marks a `Document` as being described, in OpenAPI, by a model."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self.model.__pydantic_core_schema__)


def read(model: type[B], document: Document) -> B:
    """Return `document` as `model`.

    Raises:
        Problem: 422, with a JSON pointer per error; or where a mask stands for a secret that is not stored.
    """
    try:
        found = model.model_validate(document)
    except ValidationError as error:
        errors = [{"pointer": pointer(fault.path), "detail": fault.detail} for fault in faults(error, model, document)]
        raise Problem(422, first_of(errors), errors) from None
    masked = left_mask(found)
    if masked is not None:
        errors = [{"pointer": pointer(masked), "detail": LEFT_MASK}]
        raise Problem(422, first_of(errors), errors)
    return found


def masked_spec(of: str) -> Any:
    """Return the field of a detail that shows the spec of what may hold secrets."""
    return Field(
        description=f"The {of} as people write it; PUT takes the same. Secrets are masked, and a mask that is sent back"
        " keeps the secret."
    )
