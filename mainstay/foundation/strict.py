"""What people configure, as pydantic models: unknown fields are refused, and secret fields are known as such.

One annotated type for all secrets, so that whoever stores settings can find, encrypt and mask them generically.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PlainSerializer, SecretStr, SerializationInfo

from mainstay.foundation.secrets import MASK

REVEAL = "reveal_secrets"
ANY_KEY = "*"


class StrictModel(BaseModel):
    """Base of all settings: unknown fields are refused, and a value can't change under a running probe."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class SecretMark:
    """Marks a field in `Annotated`; carries no data."""

    def __repr__(self) -> str:
        return "SecretMark()"


def _shown(secret: SecretStr, info: SerializationInfo) -> str:
    if isinstance(info.context, Mapping) and info.context.get(REVEAL) is True:
        return secret.get_secret_value()
    return MASK if secret.get_secret_value() else ""


Secret = Annotated[SecretStr, SecretMark(), PlainSerializer(_shown, return_type=str)]
"""Pydantic type of every secret field. Dumps as a mask unless `reveal()` is used."""


def secret_fields(model: type[BaseModel]) -> tuple[tuple[str, ...], ...]:
    """Paths of the model's secret fields in dumped data, e.g. `(("password",), ("secret_headers", "*"))`.

    `*` stands for every key of a mapping or every index of a list.
    """
    return tuple(_paths(model, ()))


def reveal(settings: BaseModel) -> dict[str, Any]:
    """The settings as JSON-ready data *with* their secrets, for encryption at rest only."""
    return settings.model_dump(mode="json", context={REVEAL: True}, by_alias=True, exclude_unset=True)


def _paths(model: type[BaseModel], prefix: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        path = (*prefix, field.alias or name)
        if any(isinstance(mark, SecretMark) for mark in field.metadata):
            yield path
        else:
            yield from _inside(field.annotation, path)


def _inside(annotation: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        if any(isinstance(mark, SecretMark) for mark in arguments[1:]):
            yield path
        else:
            yield from _inside(arguments[0], path)
    elif origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        yield from _inside(arguments[1], (*path, ANY_KEY))
    elif origin in (list, tuple, set, frozenset):
        for argument in arguments[:1]:
            yield from _inside(argument, (*path, ANY_KEY))
    elif origin is Union or arguments:
        for argument in arguments:
            yield from _inside(argument, path)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _paths(annotation, path)
