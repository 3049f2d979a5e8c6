"""Errors of validation in plain sentences: one wording for forms, API and files."""

from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, field_validator

from mainstay.foundation.words.durations import Duration
from mainstay.foundation.words.explained import MISSING, detail_of, faults, sentence
from mainstay.foundation.words.names import Address, Labels, Link, Moment, Name, Time, Title, Zone


class Inner(BaseModel):
    """A part."""

    model_config = ConfigDict(extra="forbid")

    depth: int = Field(default=1, ge=0, lt=10)


class Room(BaseModel):
    """One of each."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    title: Title = "A room"
    colour: Literal["red", "green", "blue"] = "red"
    beds: int = Field(default=2, ge=1, le=10)
    price: float = Field(default=1.0, gt=0)
    open: bool = True
    every: Duration = Field(default=60.0, ge=1, le=86_400)
    guests: Annotated[list[Name], Field(min_length=1, max_length=2)] = ["ann"]
    labels: Labels = {}
    secret: SecretStr | None = Field(default=None, min_length=8)
    link: Link = ""
    mail: Address = "a@b.example"
    zone: Zone = "UTC"
    since: Time | None = None
    at: Moment | None = None
    id: UUID | None = None
    code: Annotated[str, StringConstraints(min_length=2, max_length=4, pattern="^[A-Z]+$")] = "AB"
    inner: Inner = Inner()
    pair: str | Annotated[list[str], Field(min_length=1)] = "x"
    even: int = Field(default=2, multiple_of=2)

    @field_validator("title")
    @classmethod
    def _not_taken(cls, title: str) -> str:
        if title == "taken":
            raise ValueError("another room has this title; choose one that is free")
        return title


def told(**given: Any) -> list[tuple[str, str]]:
    document = {"name": "a", **given}
    try:
        Room.model_validate(document)
    except ValidationError as error:
        return [(".".join(map(str, one.path)), one.detail) for one in faults(error, Room, document)]
    return []


@pytest.mark.parametrize(
    ("given", "path", "detail"),
    [
        ({"name": "a b"}, "name", "letters, digits, - and _ only"),
        ({"name": ""}, "name", "must not be empty"),
        ({"name": 5}, "name", "must be text; put it in quotes"),
        ({"name": None}, "name", "must be text"),
        ({"name": "a" * 101}, "name", "must have at most 100 characters"),
        ({"title": "two\nlines"}, "title", "must be one line of text, and not blank"),
        (
            {"at": "2026-12-01T00:00:00"},
            "at",
            "must be a time such as 2026-08-01T22:00:00+02:00: with an offset, or Z for UTC",
        ),
        ({"at": 1796000000}, "at", "must be a time such as 2026-08-01T22:00:00+02:00"),
        ({"at": "20261201"}, "at", "must be a time such as 2026-08-01T22:00:00+02:00"),
        ({"since": "1796000000.5"}, "since", "must be a time such as 2026-08-01T22:00:00+02:00"),
        ({"title": "taken"}, "title", "another room has this title; choose one that is free"),
        ({"colour": "gren"}, "colour", "must be red, green or blue. Did you mean green?"),
        ({"colour": "pink"}, "colour", "must be red, green or blue"),
        ({"beds": "many"}, "beds", "must be a whole number"),
        ({"beds": 1.5}, "beds", "must be a whole number"),
        ({"beds": 0}, "beds", "must be at least 1"),
        ({"beds": 11}, "beds", "must be at most 10"),
        ({"price": "x"}, "price", "must be a number"),
        ({"price": 0}, "price", "must be more than 0.0"),
        ({"open": "perhaps"}, "open", "must be true or false"),
        ({"every": "100ms"}, "every", "must be at least 1s"),
        ({"every": 0.1}, "every", "must be at least 1s"),
        ({"every": "2d"}, "every", "must be at most 1d"),
        (
            {"every": "soon"},
            "every",
            "'soon' is no duration: write for example 800ms, 5s, 30m, 2h or 1d, or a number of seconds",
        ),
        ({"guests": "ann"}, "guests", "must be a list: [a, b]"),
        ({"guests": []}, "guests", "must not be empty"),
        ({"guests": ["a", "b", "c"]}, "guests", "must have at most 2 entries"),
        ({"guests": ["a", "b c"]}, "guests.1", "letters, digits, - and _ only"),
        ({"labels": ["a"]}, "labels", "must be a mapping: {key: value}"),
        ({"labels": {"a": "\0"}}, "labels.a", "must not hold a NUL character"),
        ({"secret": "short"}, "secret", "must have at least 8 characters"),
        ({"link": "ftp://x"}, "link", "must be a URL that begins with https:// or http:// and holds no blank"),
        ({"mail": "nobody"}, "mail", "must be an e-mail address such as ops@example.org"),
        ({"zone": "Mars"}, "zone", "'Mars' is no time zone; write for example Europe/Berlin or UTC"),
        ({"since": "soon"}, "since", "must be a time such as 2026-08-01T22:00:00+02:00"),
        ({"id": "x"}, "id", "must be a UUID such as 123e4567-e89b-12d3-a456-426614174000"),
        ({"code": "ab"}, "code", "must match the pattern ^[A-Z]+$"),
        ({"code": "A"}, "code", "must have at least 2 characters"),
        ({"inner": 5}, "inner", "must be a mapping: {key: value}"),
        ({"inner": {"depth": 10}}, "inner.depth", "must be less than 10"),
        ({"inner": {"dept": 1}}, "inner.dept", "is not known here. Did you mean depth?"),
        ({"inner": {"x": 1}}, "inner.x", "is not known here; possible are depth"),
        ({"zzz": 1}, "zzz", "is not known here; docs/config-file.md lists what is"),
        ({"pair": {}}, "pair", "must be text, or must be a list: [a, b]"),
        ({"even": 3}, "even", "must be a multiple of 2"),
    ],
)
def test_each_mistake_has_its_sentence_and_its_place(given: dict[str, Any], path: str, detail: str) -> None:
    assert told(**given) == [(path, detail)]


def test_what_is_missing_is_told_at_its_own_place() -> None:
    with pytest.raises(ValidationError) as caught:
        Room.model_validate({})
    (fault,) = faults(caught.value, Room, {})
    assert (fault.path, fault.detail, fault.missing) == (("name",), MISSING, True)


def test_no_library_is_heard_in_any_of_them() -> None:
    for name, value in (("name", 5), ("beds", "x"), ("guests", {}), ("labels", 1), ("inner", []), ("open", [])):
        for _, detail in told(**{name: value}):
            assert not {"dictionary", "tuple", "Input", "String", "valid", "pydantic"} & set(detail.split())


def test_an_error_without_its_model_is_worded_as_well() -> None:
    error = {"type": "greater_than_equal", "loc": ("query", "limit"), "ctx": {"ge": 1}, "msg": "Input should be …"}
    assert detail_of(error) == "must be at least 1"
    assert detail_of({"type": "odd", "loc": (), "msg": "Input should be odd"}) == "must be odd"


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("must be at least 1s", "Must be at least 1s."),
        ("give one body only", "Give one body only."),
        ("no check named nothing exists", "No check named nothing exists."),
        ("is not known here. Did you mean url?", "Is not known here. Did you mean url?"),
        ("shop has a check named front already", "shop has a check named front already."),
        ("`every` needs `timeout`", "`every` needs `timeout`."),
        ("starts_at lies beyond the calendar", "starts_at lies beyond the calendar."),
        ("'soon' is no duration", "'soon' is no duration."),
        ("a-b is there already", "a-b is there already."),
        ("silence 3 covers it", "Silence 3 covers it."),
        ("shop/front, which it needs, is down", "shop/front, which it needs, is down."),
    ],
)
def test_a_sentence_begins_with_a_capital_unless_that_would_change_an_identifier(detail: str, said: str) -> None:
    assert sentence(detail) == said


@pytest.mark.fault("D15")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"inner": 3}, "must be a mapping: {key: value}"),
        ({"inner": [1]}, "must be a mapping: {key: value}"),
        ({"pair": []}, "must not be empty"),
        ({"pair": "x"}, "must be a list: [a, b]"),
        ({"colour": "red"}, "is not known here"),
        ({"inner": {"dept": 1}}, "is not known here. Did you mean depth?"),
        ({"inner": {"depth": "deep"}}, "must be a whole number"),
        ({"inner": None}, "must be a mapping: {key: value}"),
        ({}, MISSING),
        ({"inner": {"depth": 10}}, "must be less than 10"),
    ],
)
def test_nothing_of_the_library_shines_through(given: dict[str, Any], says: str) -> None:
    class Outer(BaseModel):
        model_config = ConfigDict(extra="forbid")

        inner: Inner
        pair: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)

    document = given if not given or "inner" in given else {"inner": {}, **given}
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(document)
    (found,) = faults(refused.value, Outer, document)
    assert found.detail.startswith(says)
    assert not any(word in found.detail for word in ("valid", "Input", "Extra", "Tuple", "item", "dictionary"))
