"""Forms made from a spec: every kind of field, errors beside their inputs, secrets kept and never shown."""

import enum
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from django import forms
from django.conf import settings
from django.template import Context, Template
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from mainstay.foundation.refusal import Refused
from mainstay.foundation.secrets import MASK, mask_all, seal, sealed_config
from mainstay.foundation.words.durations import Duration
from mainstay.foundation.words.names import Labels, Name, Severity, Time, Zone
from mainstay.kit.forms import Form, SpecForm
from mainstay.kit.inputs import groups_of, read_lines, read_pairs, write_lines, write_pairs

SECRET = "sesame-opens-the-door"


class Size(enum.Enum):
    """A choice as an enumeration."""

    SMALL = "small"
    LARGE = "large"


class Hours(BaseModel):
    """A part that may be left out."""

    model_config = ConfigDict(extra="forbid")

    begin: Annotated[str, StringConstraints(pattern=r"^\d\d:\d\d$")] = Field(alias="from", description="As 08:00.")
    zone: Zone = "UTC"


class Limits(BaseModel):
    """A part that is always there."""

    model_config = ConfigDict(extra="forbid")

    warn_after: Duration | None = None
    most: int = 5


class RoomSpec(BaseModel):
    """A small resource with one of each."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="Unique; `a-z`, & digits.")
    note: Annotated[str, StringConstraints(max_length=5_000)] = ""
    beds: int = Field(default=2, ge=1)
    every: Duration = Field(default=60.0, ge=1)
    severity: Severity = "major"
    size: Size | None = None
    ip: Literal[4, 6] = 4
    open: bool = True
    guests: list[str] = Field(default_factory=list)
    labels: Labels = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    secret_headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    key: SecretStr | None = Field(default=None, min_length=8)
    since: Time | None = None
    file: Path | None = None
    rules: list[dict[str, int]] = Field(default_factory=list)
    hours: Hours | None = Field(default=None, description="Only then.")
    limits: Limits = Field(default_factory=Limits)

    @model_validator(mode="after")
    def _fits(self) -> "RoomSpec":
        if self.beds > 100:
            raise ValueError("`beds` are too many")
        return self


class RoomForm(SpecForm):
    """The whole of a form: nothing but its spec."""

    SPEC = RoomSpec


FILLED = {
    "name": "blue", "note": "two\nlines", "beds": "3", "every": "5m", "severity": "critical", "size": "large",
    "ip": "6", "guests": "ann\nbob\n", "labels": "team=web, floor=2", "headers": "X-A: 1\nX-B: a: b", "file": "/srv/a",
    "secret_headers": f"X-Key: {SECRET}", "key": SECRET, "since": "2026-08-01T10:00", "rules": "[{a: 1}]",
    "hours.from": "08:00", "hours.zone": "Europe/Berlin", "limits.warn_after": "800ms",
}  # fmt: skip


def filled(**changes: Any) -> RoomForm:
    form = RoomForm({**FILLED, **changes})
    form.is_valid()
    return form


def edited(spec: BaseModel, data: dict[str, Any] | None) -> RoomForm:
    """The form of something that exists, as its page makes it."""
    stored = sealed_config(spec, settings.SECRET_KEY)
    return RoomForm(data, shown=mask_all(stored), stored=stored)


def posted(form: SpecForm) -> dict[str, Any]:
    """What a browser sends of the form as it is shown."""
    sent: dict[str, Any] = {}
    for name in form.fields:
        value = form[name].value()
        if isinstance(form.fields[name], forms.BooleanField):
            sent |= {name: "on"} if value else {}
        elif value is not None:
            sent[name] = f"{value:%Y-%m-%dT%H:%M}" if isinstance(value, datetime) else str(value)
    return sent


def html(form: forms.Form) -> str:
    return Template("{% load mainstay %}{% fields form %}").render(Context({"form": form}))


def test_a_flat_spec_is_a_whole_form() -> None:
    form = filled()
    assert not form.errors
    spec = form.spec
    assert spec == RoomSpec.model_validate(
        {
            "name": "blue", "note": "two\nlines", "beds": 3, "every": "5m", "severity": "critical", "size": "large",
            "ip": 6, "open": False, "guests": ["ann", "bob"], "labels": {"team": "web", "floor": "2"},
            "headers": {"X-A": "1", "X-B": "a: b"}, "secret_headers": {"X-Key": SECRET}, "key": SECRET,
            "since": datetime(2026, 8, 1, 10, tzinfo=UTC), "file": "/srv/a", "rules": [{"a": 1}],
            "hours": {"from": "08:00", "zone": "Europe/Berlin"}, "limits": {"warn_after": "800ms"},
        }
    )  # fmt: skip


def test_what_is_left_empty_is_not_in_the_document() -> None:
    form = RoomForm({"name": "blue", "severity": "major", "ip": "4", "open": "on", "beds": "2"})
    assert form.is_valid(), form.errors
    assert form.document() == {"name": "blue"}
    assert form.spec == RoomSpec(name="blue")


@pytest.mark.parametrize(
    ("name", "field", "widget"),
    [
        ("name", forms.CharField, forms.TextInput),
        ("note", forms.CharField, forms.Textarea),
        ("beds", forms.CharField, forms.TextInput),
        ("severity", forms.ChoiceField, forms.Select),
        ("size", forms.ChoiceField, forms.Select),
        ("open", forms.BooleanField, forms.CheckboxInput),
        ("guests", forms.CharField, forms.Textarea),
        ("labels", forms.CharField, forms.Textarea),
        ("secret_headers", forms.CharField, forms.Textarea),
        ("key", forms.CharField, forms.PasswordInput),
        ("since", forms.DateTimeField, forms.DateTimeInput),
        ("rules", forms.CharField, forms.Textarea),
        ("hours.from", forms.CharField, forms.TextInput),
    ],
)
def test_each_kind_of_field_has_its_input(name: str, field: type, widget: type) -> None:
    made = RoomForm().fields[name]
    assert type(made) is field
    assert type(made.widget) is widget


def test_defaults_are_shown_but_not_given() -> None:
    form = RoomForm()
    assert form.fields["every"].widget.attrs["placeholder"] == "1m"
    assert form.fields["beds"].widget.attrs["placeholder"] == "2"
    assert form["severity"].value() == "major"
    assert form["open"].value() is True
    assert [value for value, _ in form.fields["size"].choices] == ["", "small", "large"]  # type: ignore[attr-defined]
    assert [value for value, _ in form.fields["severity"].choices] == ["critical", "major", "minor"]  # type: ignore[attr-defined]


def test_help_is_what_the_spec_says_and_safe() -> None:
    assert RoomForm().fields["name"].help_text == "Unique; <code>a-z</code>, &amp; digits."
    text = html(RoomForm())
    assert "<h3>Hours</h3>" in text
    assert "Only then." in text


@pytest.mark.parametrize(
    ("given", "name", "said"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "a b"}, "name", "Letters, digits, - and _ only."),
        ({"beds": "many"}, "beds", "Must be a whole number."),
        ({"beds": "0"}, "beds", "Must be at least 1."),
        ({"every": "100ms"}, "every", "Must be at least 1s."),
        ({"labels": "web"}, "labels", "This is no label: write name=value, one per line."),
        ({"labels": "a b=c"}, "labels", "a b: letters, digits, - and _ only."),
        ({"headers": "A: 1\nnonsense"}, "headers", "Line 2 is not “Name: value”. Write one per line."),
        ({"key": "short"}, "key", "Must have at least 8 characters."),
        ({"rules": "[{a: x}]"}, "rules", "0.a: must be a whole number."),
        ({"rules": "{a: ["}, "rules", "This is not YAML: "),
        ({"hours.from": "8"}, "hours.from", "Must match the pattern"),
        ({"hours.from": ""}, "hours.from", "This field is required."),
        ({"hours.zone": "Mars"}, "hours.zone", "'Mars' is no time zone"),
        ({"size": "huge"}, "size", "Select a valid choice."),
        ({"beds": "101"}, "__all__", "`beds` are too many."),
    ],
)
def test_an_error_stands_at_its_input(given: dict[str, str], name: str, said: str) -> None:
    form = filled(**given)
    assert list(form.errors) == [name]
    assert str(form.errors[name][0]).startswith(said)


def test_all_mistakes_are_told_at_once_and_none_that_follows_from_another() -> None:
    form = filled(labels="nonsense", beds="0", name="a b", key="short")
    assert set(form.errors) == {"labels", "beds", "name", "key"}


def test_a_part_that_may_be_left_out_is_left_out() -> None:
    form = filled(**{"hours.from": "", "hours.zone": ""})
    assert form.spec.hours is None
    assert not RoomForm().fields["hours.from"].required


# --- what exists ----------------------------------------------------------------------------------------------------


def test_saving_what_is_shown_changes_nothing_and_shows_no_secret() -> None:
    spec = filled().spec
    form = edited(spec, None)
    assert SECRET not in html(form)
    again = edited(spec, posted(form))
    assert again.is_valid(), again.errors
    assert again.spec == spec


def test_a_secret_is_kept_replaced_or_removed() -> None:
    spec = filled().spec
    sent = posted(edited(spec, None))
    assert sent["key"] == ""
    assert sent["secret_headers"] == f"X-Key: {MASK}"
    for changes, key in (({}, SECRET), ({"key": "another-one"}, "another-one"), ({"clear_key": "on"}, None)):
        form = edited(spec, {**sent, **changes})
        assert form.is_valid(), form.errors
        assert (form.spec.key.get_secret_value() if form.spec.key else None) == key


def test_a_mask_keeps_only_the_secret_of_its_own_name() -> None:
    spec = filled().spec
    sent = posted(edited(spec, None))
    both = edited(spec, {**sent, "secret_headers": f"X-Key: {MASK}\nX-New: n"})
    assert both.is_valid()
    assert {name: one.get_secret_value() for name, one in both.spec.secret_headers.items()} == {
        "X-Key": SECRET,
        "X-New": "n",
    }
    other = edited(spec, {**sent, "secret_headers": f"X-Other: {MASK}"})
    assert str(other.errors["secret_headers"][0]).startswith("X-Other: a mask is no secret")
    assert "X-Key" not in str(other.errors)


def test_a_refused_secret_is_neither_in_the_page_nor_in_its_errors() -> None:
    assert SECRET not in html(filled(name="a b", secret_headers="X: y"))
    assert SECRET not in str(filled(secret_headers=SECRET).errors)


def test_a_secret_that_cannot_be_opened_any_more_is_asked_for_again() -> None:
    lost = {"name": "blue", "key": seal(SECRET, "another key")}
    sent = posted(RoomForm(shown=mask_all(lost), stored=lost))
    kept = RoomForm(sent, shown=mask_all(lost), stored=lost)
    assert "enter the secret again" in str(kept.errors["__all__"])
    assert RoomForm({**sent, "key": "another-one"}, shown=mask_all(lost), stored=lost).is_valid()


def test_only_a_stored_secret_that_may_be_missing_has_a_box_that_removes_it() -> None:
    assert "clear_key" not in RoomForm().fields
    text = html(edited(filled().spec, None))
    assert "Remove the stored key" in text
    assert "Leave empty to keep it" in text


def test_what_a_file_manages_is_shown_and_takes_nothing() -> None:
    form = RoomForm({"name": "other"}, shown={"name": "blue"}, managed=True)
    assert form.is_valid()
    assert form.spec.name == "blue"


def test_a_field_of_the_class_replaces_the_generated_one() -> None:
    class Chosen(SpecForm):
        SPEC = RoomSpec
        beds = forms.TypedChoiceField(coerce=int, choices=[(1, "single"), (2, "double")])

    form = Chosen({"name": "blue", "beds": "1"})
    assert form.is_valid(), form.errors
    assert form.spec.beds == 1
    assert list(form.fields)[:3] == list(RoomForm().fields)[:3]


def test_inputs_may_be_some_of_a_model_below_a_key_and_with_a_prefix() -> None:
    (group,) = groups_of(RoomSpec, prefix="set_", within=("room",), only={"name", "key"})
    assert [(one.name, one.path) for one in group.inputs] == [
        ("set_name", ("room", "name")),
        ("set_key", ("room", "key")),
    ]


# --- refusals -------------------------------------------------------------------------------------------------------


class _Plain(Form):
    PLACES = {"hours.from": "begin"}

    name = forms.CharField()
    begin = forms.CharField(required=False)
    needs = forms.CharField(required=False, widget=forms.Textarea)


@pytest.mark.parametrize(
    ("refused", "name", "said"),
    [
        (Refused("shop has a room named blue already", "name"), "name", "shop has a room named blue already."),
        (Refused("must be a time", "hours.from"), "begin", "Must be a time."),
        (Refused("no room named x exists", "needs.1"), "needs", "Line 2: no room named x exists."),
        (Refused("must be more", "beds"), "__all__", "beds: must be more."),
        (Refused("the room is in use"), "__all__", "The room is in use."),
    ],
)
def test_a_refusal_is_shown_at_the_field_that_it_names(refused: Refused, name: str, said: str) -> None:
    form = _Plain({"name": "blue"})
    assert form.is_valid()
    form.refuse(refused)
    assert form.errors[name] == [said]


# --- values as people write them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["=", ": "])
@pytest.mark.parametrize(
    "pairs",
    [
        {"a": "1", "b": "2"},
        {"a": ""},
        {"a": "two\nlines"},
        {"a": "x, y"},
        {"a": "x,b=c"},
        {"a": " blank "},
        {"a": "{b}"},
        {"{a": "b"},
        {"a": "url=http://x: y"},
        {"a: b=c": "d"},
        {"a": "x\n\ny"},
    ],
)
def test_pairs_are_written_so_that_nothing_is_lost(pairs: dict[str, str], sign: str) -> None:
    assert read_pairs(write_pairs(pairs, sign), sign) == pairs


@pytest.mark.parametrize("texts", [[], ["a", "b"], ["two\nlines"], ["a,"], [" a"], ["[a]"], ["[STATUS] == 200"], [""]])
def test_lines_are_written_so_that_nothing_is_lost(texts: list[str]) -> None:
    assert read_lines(write_lines(texts)) == texts


def test_pairs_and_lines_are_read_as_people_write_them() -> None:
    assert read_pairs("a=1, b=2\nc=3", "=") == {"a": "1", "b": "2", "c": "3"}
    assert read_pairs("A: x\n  more\n\nB: y", ": ") == {"A": "x\nmore", "B": "y"}
    assert read_pairs("{A: x}", ": ") == {"A": "x"}
    assert read_lines(" a,\n\nb ") == ["a", "b"]
    assert read_lines("[a, b]") == ["a", "b"]
    assert read_lines("[STATUS] == 200") == ["[STATUS] == 200"]


def test_labels_in_the_page_are_escaped() -> None:
    form = filled(labels="<b>=x")
    assert "<b>" not in html(form)
    assert re.search("&lt;b&gt;: letters, digits", unescape(html(form)).replace("<b>", "&lt;b&gt;"))
