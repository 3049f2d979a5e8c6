"""One comparison of a header or a JSON value with what is expected."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, JsonValue, model_validator

from mainstay.foundation.strict import StrictModel
from mainstay.foundation.words.pattern import PatternText, compile_pattern
from mainstay.observe.checks.kinds.base import Text
from mainstay.observe.checks.probe.conditions import number
from mainstay.observe.checks.probe.jsonpath import MISSING, as_text

_SHOWN = 80


class Comparison(StrictModel):
    """What a value must be. Several fields must all hold; a bare value in YAML means `equals`."""

    equals: str | int | float | bool | None = Field(
        default=None, description="The value itself; numbers are compared as numbers."
    )
    not_equals: str | int | float | bool | None = Field(default=None, description="Any value but this one.")
    contains: Text | None = Field(
        default=None, description="A text that must occur in the value, or an element of the array."
    )
    matches: PatternText | None = Field(
        default=None, description="A regular expression (RE2) that must occur in the value."
    )
    greater_than: int | float | None = Field(default=None, description="The value must be a number above this one.")
    less_than: int | float | None = Field(default=None, description="The value must be a number below this one.")
    at_least: int | float | None = Field(default=None, description="The value must be this number or above.")
    at_most: int | float | None = Field(default=None, description="The value must be this number or below.")
    length_at_least: int | None = Field(
        default=None, ge=0, description="The array, object or text must have this length or more."
    )
    length_at_most: int | None = Field(
        default=None, ge=0, description="The array, object or text must have this length or less."
    )
    exists: bool | None = Field(
        default=None, description="Whether the value must be there at all (null counts as not there)."
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_value_means_equals(cls, value: object) -> object:
        return {"equals": value} if isinstance(value, str | int | float | bool) else value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("the comparison is empty: give a value, or for example {contains: text} or {at_least: 1}")
        return self

    def pattern_size(self) -> int:
        """Steps per byte of the regular expression, 0 without one."""
        return compile_pattern(self.matches).size if self.matches is not None else 0

    def failing_all(self, values: Sequence[str]) -> str:
        """What is wrong with all values of a repeated header: one of them must fit, and none may be one that is
        excluded by `not_equals`; empty when nothing is."""
        if not values:
            return self.failing(MISSING)
        wrong = [self.failing(value) for value in values]
        excluded = [self.not_equals is not None and _same(value, value, self.not_equals) for value in values]
        if any(excluded):
            return wrong[excluded.index(True)]
        return wrong[0] if all(wrong) else ""

    def failing(self, value: object, shown: str | None = None) -> str:
        """What is wrong with `value`, e.g. `is 3, expected at least 5`; empty when nothing is.

        `shown` stands for the value in the words, where it may hold a secret.
        """
        if value is MISSING or value is None:
            if self.exists is False:
                return ""
            return "is null" if value is None else "is not there"
        is_ = f"is {_shown(value if shown is None else shown)}"
        if self.exists is False:
            return f"{is_}, expected not to be there"
        return next((f"{is_}, expected {wanted}" for wanted in self._violated(value)), "")

    def _violated(self, value: object) -> list[str]:
        text = as_text(value)
        wrong: list[str] = []
        if self.equals is not None and not _same(value, text, self.equals):
            wrong.append(_shown(self.equals))
        if self.not_equals is not None and _same(value, text, self.not_equals):
            wrong.append("another value")
        if self.contains is not None and not _contains(value, text, self.contains):
            wrong.append(f"to contain {_shown(self.contains)}")
        if self.matches is not None and not compile_pattern(self.matches).search(text.encode("utf-8", "replace")):
            wrong.append(f"to match {_shown(self.matches)}")
        amount = number(text)
        if self.greater_than is not None and (amount is None or not amount > self.greater_than):
            wrong.append(f"more than {as_text(self.greater_than)}")
        if self.less_than is not None and (amount is None or not amount < self.less_than):
            wrong.append(f"less than {as_text(self.less_than)}")
        if self.at_least is not None and (amount is None or not amount >= self.at_least):
            wrong.append(f"at least {as_text(self.at_least)}")
        if self.at_most is not None and (amount is None or not amount <= self.at_most):
            wrong.append(f"at most {as_text(self.at_most)}")
        length = len(value) if isinstance(value, str | list | dict) else len(text)
        if self.length_at_least is not None and length < self.length_at_least:
            wrong.append(f"a length of at least {self.length_at_least} (it is {length})")
        if self.length_at_most is not None and length > self.length_at_most:
            wrong.append(f"a length of at most {self.length_at_most} (it is {length})")
        return wrong


def _same(value: object, text: str, expected: JsonValue) -> bool:
    if isinstance(expected, bool) or isinstance(value, bool):
        return text == as_text(expected)
    if isinstance(expected, int | float):
        return number(text) == expected
    return text == expected


def _contains(value: object, text: str, part: str) -> bool:
    if isinstance(value, list):
        return any(as_text(element) == part for element in value)
    return part in text


def _shown(value: object) -> str:
    text = as_text(value)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f'"{shown}"' if isinstance(value, str) else shown
