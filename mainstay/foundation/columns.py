"""Columns that hold a known shape, whatever wrote them.

A row that another program, an older version or a hand wrote may hold anything. One such row must not stop what reads
all of them, so it is read as far as it has the shape.
"""

from abc import abstractmethod
from collections.abc import Collection
from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform

from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.matching import Matchers

LONGEST_S = 3_660 * 86_400.0
NOTHING = {"unreadable": "what it matches cannot be read"}  # a label that nothing has


class _Shaped(models.JSONField):
    """A JSON column; for migrations and the database it is nothing else."""

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = super().from_db_value(value, expression, connection)
        return found if isinstance(expression, KeyTransform) else self.shaped(found)

    @abstractmethod
    def shaped(self, found: Any) -> Any:
        """Return what of `found` has the shape."""


class ObjectField(_Shaped):
    """Members by name; anything else is read as none."""

    def shaped(self, found: Any) -> Any:
        return found if isinstance(found, dict) else {}


class PairsField(_Shaped):
    """Names and texts, such as labels; members that are no text are left out."""

    def shaped(self, found: Any) -> Any:
        if not isinstance(found, dict):
            return {}
        if all(isinstance(text, str) for text in found.values()):
            return found
        return {name: text for name, text in found.items() if isinstance(text, str)}


class NamesField(_Shaped):
    """A list of texts; members that are no text are left out."""

    def shaped(self, found: Any) -> Any:
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


class MatchField(_Shaped):
    """Matchers, see `matching.Matchers.of`. Half of a match would match more, so then it matches none."""

    def shaped(self, found: Any) -> Any:
        try:
            Matchers.of(found)
        except Refused:
            return dict(NOTHING)
        return found


class LinksField(_Shaped):
    """A list of labels with their addresses; members that are none are left out."""

    def shaped(self, found: Any) -> Any:
        return [one for one in found if _is_link(one)] if isinstance(found, list) else []


class WordField(models.CharField):  # type: ignore[type-arg]  # Django itself takes none at run time
    """One of some words; any other is read as `otherwise`."""

    def __init__(self, *args: Any, words: Collection[str] = (), otherwise: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.words, self.otherwise = frozenset(words), otherwise

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> str | None:
        return value if value is None or value in self.words else self.otherwise


class SecondsField(models.FloatField):  # type: ignore[type-arg]  # Django itself takes none at run time
    """A span in seconds; one that is no span, or longer than ten years, is read as `otherwise`."""

    def __init__(self, *args: Any, otherwise: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.otherwise = otherwise

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.FloatField", args, kwargs

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> float | None:
        return value if isinstance(value, int | float) and 0 < value <= LONGEST_S else self.otherwise


def _is_link(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("label"), str) and isinstance(value.get("url"), str)
