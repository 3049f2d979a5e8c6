"""The fields of a check type's form, generated from its settings: a new type needs no form of its own.

A text, number, switch, choice or secret becomes an input; what has more structure (maps, lists) is written as YAML.
Settings within settings (`expect`, `warn`) become groups.
"""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from annotated_types import MaxLen
from django import forms
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from mainstay.foundation.durations import format_duration, parse_duration
from mainstay.foundation.secrets import MASK
from mainstay.foundation.yaml.problems import NotYaml
from mainstay.foundation.yaml.read import read_data
from mainstay.foundation.yaml.write import dump_line

PREFIX = "kind"
LONG_TEXT = 1_000
FEW = 8  # settings up to this number all stand in the open …
OPEN, OPEN_IN_GROUP = 2, 4  # … of more, these first optional ones
_PLAIN = {str: "text", UUID: "text", int: "text", float: "text", bool: "switch", SecretStr: "secret"}


@dataclass(frozen=True, slots=True)
class KindField:
    """One input. `path` leads to the value in the settings as people write them."""

    path: tuple[str, ...]
    sort: str  # text, long, switch, choice, secret, yaml
    label: str
    help: str
    required: bool
    open: bool  # not behind "more settings"
    choices: tuple[str, ...] = ()
    default: Any = None

    @property
    def name(self) -> str:
        """The input's name."""
        return ".".join((PREFIX, *self.path))

    @property
    def group(self) -> str:
        """The group it belongs to; empty for the settings themselves."""
        return ".".join(self.path[:-1])

    def form_field(self) -> forms.Field:
        """Return the field of the form."""
        common: dict[str, Any] = {
            "label": self.label,
            "help_text": self.help,
            "required": self.required,
            "error_messages": {"required": "Give a value."},
        }
        match self.sort:
            case "switch":
                return forms.BooleanField(**common | {"required": False})
            case "choice":
                blank = [] if self.default is not None else [("", "–")]
                return forms.ChoiceField(choices=blank + [(one, one) for one in self.choices], **common)
            case "secret":
                return forms.CharField(
                    widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False, **common
                )
            case "long":
                return forms.CharField(
                    widget=forms.Textarea(attrs={"rows": 1, "class": "mono short", "spellcheck": "false"}),
                    strip=False,
                    **common,
                )
            case "yaml":
                return forms.CharField(
                    widget=forms.Textarea(attrs={"rows": 1, "class": "mono short", "spellcheck": "false"}), **common
                )
        hint = {} if self.default is None or self.default == "" else {"placeholder": str(self.default)}
        return forms.CharField(widget=forms.TextInput(attrs=hint), **common)

    def shown(self, settings: Mapping[str, Any]) -> Any:
        """Return what the input shows of `settings`, secrets masked."""
        value = _at(settings, self.path)
        if value is None:
            return self.default if self.sort in {"switch", "choice"} else ""
        if self.sort == "secret":
            return ""
        if self.sort == "switch":
            return bool(value)
        if self.sort == "yaml":
            return dump_line(value)
        return str(value)

    def given(self, value: Any, *, stored: bool) -> Any:
        """Return what the settings get from the input, None for nothing.

        Raises:
            NotYaml: the text is not YAML.
        """
        if self.sort == "switch":
            return None if bool(value) == bool(self.default) and not stored else bool(value)
        if value in (None, ""):
            return MASK if self.sort == "secret" and stored else None
        if self.sort == "choice" and value == self.default and not stored:
            return None
        return read_data(value) if self.sort == "yaml" else value


def fields_of(settings: type[BaseModel], within: tuple[str, ...] = ()) -> tuple[KindField, ...]:
    """Return the inputs of `settings`, required ones first."""
    found = list(_fields(settings, within))
    return tuple(sorted(found, key=lambda field: (bool(field.group), not field.required, not field.open)))


def _fields(settings: type[BaseModel], within: tuple[str, ...]) -> Iterator[KindField]:
    optional = [name for name, info in settings.model_fields.items() if not info.is_required() and name != "conditions"]
    few = len(settings.model_fields) <= FEW
    shown = set(optional if few else optional[: OPEN_IN_GROUP if within else OPEN])
    for name, info in settings.model_fields.items():
        path = (*within, info.alias or name)
        annotation, marks = _bare(info)
        if not within and _is_group(annotation, info):
            yield from _fields(annotation, path)
            continue
        sort, choices = _sort(annotation, marks)
        yield KindField(
            path=path,
            sort=sort,
            label=_label(path[-1]),
            help=info.description or "",
            required=info.is_required(),
            open=info.is_required() or name in shown,
            choices=choices,
            default=_default(info, marks),
        )


def _is_group(annotation: Any, info: FieldInfo) -> bool:
    """Tell whether a setting is settings of its own that are always there (`expect`, `warn`)."""
    is_settings = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return is_settings and info.default_factory is annotation


def _sort(annotation: Any, marks: Sequence[Any]) -> tuple[str, tuple[str, ...]]:
    if get_origin(annotation) is Literal and all(isinstance(one, str) for one in get_args(annotation)):
        return "choice", get_args(annotation)
    sort = _PLAIN.get(annotation, "yaml")
    longest = max((mark.max_length for mark in marks if isinstance(mark, MaxLen)), default=0)
    return ("long", ()) if sort == "text" and longest > LONG_TEXT else (sort, ())


def _bare(info: FieldInfo) -> tuple[Any, list[Any]]:
    """Return T and the marks on it, for `T | None` and for `Annotated[T, …] | None`."""
    annotation: Any = info.annotation
    marks: list[Any] = list(info.metadata)
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        if len(rest) == 1:
            annotation = rest[0]
    while hasattr(annotation, "__metadata__"):
        for mark in annotation.__metadata__:
            marks += mark.metadata if isinstance(mark, FieldInfo) else [mark]
        annotation = annotation.__origin__
    return annotation, marks


def _default(info: FieldInfo, marks: Sequence[Any]) -> Any:
    if info.is_required() or info.default_factory is not None:
        return None
    if isinstance(info.default, float) and any(getattr(mark, "func", None) is parse_duration for mark in marks):
        return format_duration(info.default)
    return info.default if isinstance(info.default, str | int | float | bool) else None


def _label(name: str) -> str:
    words = name.replace("_", " ")
    return {"url": "URL", "json": "JSON", "ip version": "IP version", "ca": "CA", "http2": "HTTP/2"}.get(
        words, words[:1].upper() + words[1:]
    )


def _at(settings: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = settings
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def assemble(
    fields: tuple[KindField, ...], given: Mapping[str, Any], stored: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings that the inputs describe, and an error per input that is not YAML.

    Args:
        given: cleaned values by input name.
        stored: the settings so far (secrets sealed); a secret left empty keeps what is stored.
    """
    settings: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field in fields:
        try:
            value = field.given(given.get(field.name), stored=_at(stored, field.path) is not None)
        except NotYaml as error:
            errors[field.name] = f"This is not YAML: {error.placed}."
            continue
        if value is None:
            continue
        place = settings
        for name in field.path[:-1]:
            place = place.setdefault(name, {})
        place[field.path[-1]] = value
    return settings, errors


def field_at(fields: tuple[KindField, ...], path: tuple[Any, ...]) -> KindField | None:
    """Return the field that an error at `path` of the settings belongs to."""
    places = [str(part) for part in path]
    fitting = [field for field in fields if list(field.path) == places[: len(field.path)]]
    return max(fitting, key=lambda field: len(field.path), default=None)
