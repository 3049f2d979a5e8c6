"""The form of a channel, made from the settings of its kind: a new kind needs no form of its own."""

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from django import forms
from django.utils.html import escape
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from mainstay.foundation.secrets import LEFT_MASK, MASK, keep_masked, left_mask, mask_all
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.models import Channel
from mainstay.respond.delivery.spec import ChannelSpec, Common

_PREFIX = "set_"
_CLEAR = "clear_"
_TEXT_MOST = 4_000


class ChannelForm(forms.Form):
    """A name, and one field per setting of the kind. A secret that is stored is never shown: left empty, it stays."""

    name = forms.CharField(max_length=100, help_text="Routes call it so. Letters, digits, - and _.")

    def __init__(self, data: Any = None, *, kind: str, key: str, channel: Channel | None = None, **given: Any) -> None:
        self.kind, self.key, self.channel = kind, key, channel
        self.stored: dict[str, Any] = dict(channel.config) if channel is not None and channel.kind == kind else {}
        self.settings = CHANNELS[kind].Settings.model_fields
        shown = mask_all(self.stored)
        initial: dict[str, Any] = {"name": channel.name} if channel is not None else {}
        initial |= {
            f"{_PREFIX}{_key(name, info)}": _shown(shown[_key(name, info)])
            for name, info in self.settings.items()
            if _key(name, info) in shown
        }
        super().__init__(data, initial=initial, **given)
        if channel is not None:
            self.fields["name"].disabled = True
            self.fields["name"].help_text = "Routes call it so; it keeps its name."
        for name, info in self.settings.items():
            key_ = _key(name, info)
            self.fields[f"{_PREFIX}{key_}"] = _field(key_, info, has_stored=key_ in self.stored)
            if key_ in self.stored and _is_secret(info.annotation) and not info.is_required():
                self.fields[f"{_CLEAR}{key_}"] = forms.BooleanField(
                    required=False, label=f"Remove the stored {_label(key_).lower()}"
                )

    def rows(self) -> list[tuple[forms.BoundField, bool]]:
        """Return the fields in order, each with whether a secret is stored for it."""
        return [
            (
                bound,
                bound.name.removeprefix(_PREFIX) in self.stored and isinstance(bound.field.widget, forms.PasswordInput),
            )
            for bound in self.visible_fields()
        ]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.errors:
            return values
        given: dict[str, Any] = {}
        for name, info in self.settings.items():
            key = _key(name, info)
            text = values.get(f"{_PREFIX}{key}")
            if _is_secret(info.annotation):
                if values.get(f"{_CLEAR}{key}"):
                    continue
                text = text or (MASK if key in self.stored else None)
            try:
                value = _parsed(text, info)
            except ValueError as error:
                self.add_error(f"{_PREFIX}{key}", str(error))
                continue
            if value is not None and not (value == info.default and key not in self.stored):
                given[key] = value
        if self.errors:
            return values
        given = keep_masked(given, self.stored, self.key)
        try:
            paused = self.channel.paused if self.channel is not None else False
            values["spec"] = ChannelSpec.model_validate({"name": values["name"], "paused": paused, self.kind: given})
        except ValidationError as error:
            self._show(error)
            return values
        if masked := left_mask(values["spec"]):
            place = f"{_PREFIX}{masked[1]}" if len(masked) > 1 else ""
            inner = ", ".join(str(part) for part in masked[2:])
            text = f"{inner}: {LEFT_MASK}." if inner else f"{LEFT_MASK[:1].upper()}{LEFT_MASK[1:]}."
            self.add_error(place if place in self.fields else None, text)
        return values

    def _show(self, error: ValidationError) -> None:
        for found in error.errors(include_url=False, include_input=False):
            place = [str(part) for part in found["loc"]]
            where = place[0] if len(place) == 1 else f"{_PREFIX}{place[1]}" if place[:1] == [self.kind] else ""
            message = found["msg"].removeprefix("Value error, ")
            if found["type"] == "missing":
                message = "This is needed"
            if found["type"] == "string_pattern_mismatch" and where == "name":
                message = "Only letters, digits, - and _"
            if len(place) > 2 and place[2].isdigit():
                message = f"Line {int(place[2]) + 1}: {message}"
            elif len(place) > 2:
                message = f"{place[2]}: {message}"
            text = message[:1].upper() + message[1:] + ("" if message.endswith(".") else ".")
            self.add_error(where if where in self.fields else None, text)

    @property
    def spec(self) -> Common:
        """The channel as the form describes it; after `is_valid`."""
        spec: Common = self.cleaned_data["spec"]
        return spec


def _key(name: str, info: FieldInfo) -> str:
    return info.alias or name


def _label(key: str) -> str:
    words = key.replace("_", " ")
    words = {
        "url": "URL",
        "webhook url": "Webhook URL",
        "api url": "API URL",
        "ca file": "CA file",
        "starttls": "STARTTLS",
    }.get(words, words)
    return words[:1].upper() + words[1:]


def _plain(annotation: Any) -> Any:
    """Return an annotation without `| None`."""
    if get_origin(annotation) in {Union, types.UnionType}:
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _is_secret(annotation: Any) -> bool:
    plain = _plain(annotation)
    plain = get_args(plain)[0] if hasattr(plain, "__metadata__") else plain
    return plain is SecretStr


def _is_mapping(annotation: Any) -> bool:
    return get_origin(_plain(annotation)) in {Mapping, dict}


def _is_sequence(annotation: Any) -> bool:
    return get_origin(_plain(annotation)) in {tuple, list}


def _default(info: FieldInfo) -> str:
    default = info.default
    if isinstance(default, SecretStr):
        return default.get_secret_value()  # a default is no secret: it stands in the code
    return default if isinstance(default, str) else ""


def _field(key: str, info: FieldInfo, *, has_stored: bool) -> forms.Field:
    required = info.is_required() and not (has_stored and _is_secret(info.annotation))
    common: dict[str, Any] = {"label": _label(key), "required": required, "help_text": _help(info)}
    plain = _plain(info.annotation)
    if _is_secret(info.annotation):
        attrs = {"autocomplete": "off", "spellcheck": "false"} | (
            {"placeholder": _default(info)} if _default(info) else {}
        )
        return forms.CharField(max_length=_TEXT_MOST, strip=True, widget=forms.PasswordInput(attrs=attrs), **common)
    if _is_mapping(info.annotation):
        hint = {"rows": 2, "class": "mono", "placeholder": "Authorization: Bearer …"}
        return forms.CharField(max_length=_TEXT_MOST, widget=forms.Textarea(attrs=hint), **common)
    if _is_sequence(info.annotation):
        return forms.CharField(
            max_length=_TEXT_MOST, widget=forms.Textarea(attrs={"rows": 3, "placeholder": "one per line"}), **common
        )
    if get_origin(plain) is Literal:
        choices = [(str(value), str(value)) for value in get_args(plain)]
        return forms.ChoiceField(choices=choices, initial=_default(info), **{**common, "required": True})
    if plain is bool:
        return forms.BooleanField(**{**common, "required": False}, initial=bool(info.default))
    if plain in {int, float}:
        kind = forms.IntegerField if plain is int else forms.FloatField
        return kind(**common, initial=None if info.is_required() else info.default)
    attrs = {"class": "mono"} if plain is Path else {}
    if _default(info):
        attrs["placeholder"] = _default(info)
    return forms.CharField(max_length=_TEXT_MOST, widget=forms.TextInput(attrs=attrs), **common)


def _help(info: FieldInfo) -> str:
    return escape(info.description or "")  # `components/field.html` prints help as HTML


def _shown(value: Any) -> Any:
    """Return a stored, masked setting as its field shows it; secrets show nothing."""
    if value == MASK:
        return ""
    if isinstance(value, dict):
        return "\n".join(f"{name}: {item}" for name, item in value.items())
    if isinstance(value, list):
        return "\n".join(str(item) for item in value)
    return value


def _parsed(text: Any, info: FieldInfo) -> Any:
    """Return what a field holds as the settings take it; None when it is empty."""
    if not isinstance(text, str):
        return text
    text = text.replace("\r\n", "\n")
    if not text.strip():
        return None
    if _is_mapping(info.annotation):
        found = {}
        for line in text.splitlines():
            name, colon, value = line.partition(":")
            if line.strip() and not (colon and name.strip() and value.strip()):
                raise ValueError(f"{line.strip()[:40]!r} is not “Name: value”. Write one per line.")
            if line.strip():
                found[name.strip()] = value.strip()
        return found
    if _is_sequence(info.annotation):
        return [line.strip().rstrip(",") for line in text.splitlines() if line.strip()]
    return text
