"""What wings name by dotted paths, loaded; who reads an error is told which wing names what is not there."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

from django.utils.module_loading import import_string

from mainstay.foundation.refusal import CannotStart
from mainstay.foundation.wing import Wing

T = TypeVar("T")


def named(wing: Wing, field: str, path: str) -> Any:
    """Return what a wing names in a field of its value.

    Raises:
        CannotStart: it cannot be imported.
    """
    return _loaded(wing, field, path, import_string)


def module(wing: Wing, field: str, path: str) -> ModuleType:
    """Return the module that a wing names in a field of its value.

    Raises:
        CannotStart: it cannot be imported.
    """
    return _loaded(wing, field, path, import_module)


def _loaded(wing: Wing, field: str, path: str, load: Callable[[str], T]) -> T:
    try:
        return load(path)
    except ImportError as error:
        raise CannotStart(
            f'the wing {wing.app} names "{path}" in `{field}`, which cannot be imported: {error}.'
            f" Mend the name in {wing.app}.wing, or what it leads to."
        ) from error
