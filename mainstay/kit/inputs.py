"""Inputs of a form, generated from a pydantic model: a new setting needs no form of its own.

A text, number, duration, switch, choice, time or secret becomes an input; a list of texts is written one per line, a
mapping of texts as `Name: value` or `name=value` lines; what has more structure is written as YAML. A model within the
model (`expect`, `hours`) becomes a group of inputs.
"""

import enum
import re
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from django import forms
from django.utils.html import escape
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from mainstay.foundation.words.durations import format_duration, parse_duration
from mainstay.foundation.yaml.problems import NotYaml
from mainstay.foundation.yaml.read import read_data
from mainstay.foundation.yaml.write import dump_line

LONG_TEXT = 2_000
PROSE_MOST = 20_000  # longer texts are for programs: bodies, certificates
FEW = 8  # a model with up to this number of fields shows all of them; …
OPEN, OPEN_IN_GROUP = 2, 4  # … of more, these first optional ones, and the others are folded away
_SCALARS = {
    str: "text", UUID: "text", Path: "path", int: "number", float: "number", bool: "switch", SecretStr: "secret",
    datetime: "time",
}  # fmt: skip
_SPELLED = {
    "api": "API", "ca": "CA", "dns": "DNS", "http2": "HTTP/2", "id": "ID", "ip": "IP", "json": "JSON", "tls": "TLS",
    "starttls": "STARTTLS", "url": "URL", "username": "user name", "bearer": "bearer token",
}  # fmt: skip
_SIGNS = {"pairs": ": ", "labels": "="}
_WRITTEN = {"lines": "one per line", "pairs": "Name: value, one per line", "labels": "name=value, one per line"}


@dataclass(frozen=True, slots=True)
class Input:
    """One input. `path` leads to its value in the document that the model reads."""

    path: tuple[str, ...]
    name: str
    sort: str  # text, path, long, number, duration, switch, choice, time, secret, lines, pairs, labels, yaml
    label: str
    help: str
    required: bool
    open: bool  # not folded away
    choices: tuple[Any, ...] = ()
    default: Any = None
    longest: int = 0

    @property
    def clear(self) -> str:
        """The name of the box that removes a stored secret."""
        return f"clear_{self.path[-1]}"

    def form_field(self, *, stored: bool = False) -> forms.Field:
        """Return the field of the form; `stored`: it is a secret that is set, so it may stay empty."""
        common: dict[str, Any] = {
            "label": self.label,
            "help_text": _html(self.help),
            "required": self.required and not stored,
        }
        attrs: dict[str, Any] = {} if self.default in (None, "") else {"placeholder": str(self.default)}
        if 0 < self.longest <= LONG_TEXT:
            attrs["maxlength"] = self.longest
        match self.sort:
            case "switch":
                return forms.BooleanField(**common | {"required": False}, initial=bool(self.default))
            case "choice":
                blank = [] if self.default is not None or self.required else [("", "–")]
                return forms.ChoiceField(
                    choices=[*blank, *((str(one), str(one)) for one in self.choices)], initial=self.default, **common
                )
            case "time":
                widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
                return forms.DateTimeField(widget=widget, **common)
            case "secret":
                attrs |= {"autocomplete": "new-password", "spellcheck": "false"}
                return forms.CharField(widget=forms.PasswordInput(attrs=attrs), **common)
            case "long" | "yaml" | "lines" | "pairs" | "labels":
                if self.sort == "long" and self.longest <= PROSE_MOST:
                    attrs |= {"rows": 2, "class": "short"}
                else:
                    attrs |= {"rows": 1, "class": "mono short", "spellcheck": "false"}
                if self.sort in _WRITTEN:
                    attrs |= {"rows": 2, "placeholder": _WRITTEN[self.sort]}
                return forms.CharField(widget=forms.Textarea(attrs=attrs), strip=self.sort != "long", **common)
            case "number":
                attrs["inputmode"] = "decimal"
            case "path":
                attrs["class"] = "mono"
        return forms.CharField(widget=forms.TextInput(attrs=attrs), **common)

    def shown(self, value: Any) -> Any:
        """Return what the input shows of a value as a document has it; of a secret nothing."""
        if value is None:
            return self.default if self.sort in {"switch", "choice"} else ""
        match self.sort:
            case "secret":
                return ""
            case "switch":
                return bool(value)
            case "time":
                return datetime.fromisoformat(value) if isinstance(value, str) else value
            case "duration" if isinstance(value, int | float):
                return format_duration(value)
            case "lines" if isinstance(value, list | tuple):
                return write_lines(value)
            case "pairs" | "labels" if isinstance(value, dict):
                return write_pairs(value, _SIGNS[self.sort])
            case "yaml" | "lines" | "pairs" | "labels":
                return dump_line(value)
        return str(value)

    def given(self, value: Any, *, stored: bool) -> Any:
        """Return what the document gets from a cleaned value; None for nothing.

        What is as by default is left out unless it is stored, so that a later default holds for it as well.

        Raises:
            forms.ValidationError: the text cannot be read.
        """
        if self.sort == "switch":
            return None if bool(value) == bool(self.default) and not stored else bool(value)
        if value in (None, "") or (value == str(self.default) and not stored):
            return None
        if not isinstance(value, str):
            return value
        match self.sort:
            case "choice":
                return next((one for one in self.choices if str(one) == value), value)
            case "yaml":
                return _yaml(value)
            case "lines":
                return read_lines(value)
            case "pairs" | "labels":
                return read_pairs(value, _SIGNS[self.sort])
        return value


@dataclass(frozen=True, slots=True)
class Group:
    """Inputs that belong together; the model's own have neither title nor help."""

    inputs: tuple[Input, ...]
    title: str = ""
    help: str = ""


def groups_of(
    model: type[BaseModel],
    *,
    prefix: str = "",
    within: tuple[str, ...] = (),
    only: Collection[str] | None = None,
    folded: Collection[str] = (),
) -> tuple[Group, ...]:
    """Return the inputs of `model`: its own, then those of each model within it; required ones first.

    Args:
        prefix: what names of inputs begin with.
        within: where the model's values stand in the document.
        only: the fields of the model to make inputs of; None: all.
        folded: fields that are folded away in any case.
    """
    fields = {name: info for name, info in model.model_fields.items() if only is None or name in only}
    nested = {name: inner for name, info in fields.items() if (inner := _nested(info)) is not None}
    plain = [name for name in fields if name not in nested]
    groups = [Group(_inputs(model, plain, OPEN, prefix, within, folded=folded))]
    for name, inner in nested.items():
        info = fields[name]
        key = info.alias or name
        # Of settings that may be left out altogether, none is required.
        always = info.default_factory is not None
        inside = _inputs(
            inner, list(inner.model_fields), OPEN_IN_GROUP, f"{prefix}{key}.", (*within, key), always=always
        )
        groups.append(Group(inside, label_of(key), info.description or ""))
    return tuple(groups)


def _nested(info: FieldInfo) -> type[BaseModel] | None:
    annotation, _ = _bare(info.annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and not info.is_required():
        return annotation
    return None


def _inputs(
    model: type[BaseModel],
    names: Sequence[str],
    most: int,
    prefix: str,
    within: tuple[str, ...],
    *,
    folded: Collection[str] = (),
    always: bool = True,
) -> tuple[Input, ...]:
    """Return inputs of the fields `names`, of which `most` optional ones stand in the open when there are many."""
    fields = model.model_fields
    optional = [name for name, info in fields.items() if not info.is_required() and name not in folded]
    shown = optional if len(fields) <= FEW else optional[:most]
    found = []
    for name in names:
        info = fields[name]
        annotation, marks = _bare(info.annotation, info.metadata)
        sort, choices = _sort(annotation, marks)
        longest = max((length for mark in marks if (length := getattr(mark, "max_length", None))), default=0)
        key = info.alias or name
        found.append(
            Input(
                path=(*within, key),
                name=f"{prefix}{key}",
                sort="long" if sort == "text" and longest > LONG_TEXT else sort,
                label=label_of(key),
                help=info.description or "",
                required=always and info.is_required(),
                open=info.is_required() or name in shown,
                choices=choices,
                default=_default(info, sort),
                longest=longest,
            )
        )
    return tuple(sorted(found, key=lambda one: (not one.required, not one.open)))


def _sort(annotation: Any, marks: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "choice", inside
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "choice", tuple(one.value for one in annotation)
    if annotation is float and any(getattr(mark, "func", None) is parse_duration for mark in marks):
        return "duration", ()
    if origin in {list, tuple} and inside and _bare(inside[0])[0] is str and inside[1:] in ((), (...,)):
        return "lines", ()
    if origin in {dict, Mapping} and _bare(inside[1])[0] in {str, SecretStr}:
        key, marks_of_key = _bare(inside[0])
        constrained = any(getattr(mark, "pattern", None) for mark in marks_of_key)
        return ("labels" if constrained else "pairs", ()) if key is str else ("yaml", ())
    return _SCALARS.get(annotation, "yaml") if isinstance(annotation, type) else "yaml", ()


def _bare(annotation: Any, marks: Sequence[Any] = ()) -> tuple[Any, list[Any]]:
    """Return T and the marks on it, for `T | None` and for `Annotated[T, …] | None`."""
    found = list(marks)
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        if len(rest) == 1:
            annotation = rest[0]
    while hasattr(annotation, "__metadata__"):
        for mark in annotation.__metadata__:
            found += mark.metadata if isinstance(mark, FieldInfo) else [mark]
        annotation = annotation.__origin__
    return annotation, found


def _default(info: FieldInfo, sort: str) -> Any:
    if info.is_required() or info.default_factory is not None:
        return None
    default = info.default.value if isinstance(info.default, enum.Enum) else info.default
    if isinstance(default, SecretStr):
        return default.get_secret_value()  # a default is no secret: it stands in the code
    if sort == "duration" and default is not None:
        return format_duration(default)
    return default if isinstance(default, str | int | float) else None


def label_of(key: str) -> str:
    """Return what people call a field."""
    words = " ".join(_SPELLED.get(word, word) for word in key.split("_"))
    return words[:1].upper() + words[1:]


def _html(text: str) -> str:
    """Return help as HTML, since templates print it so: `names` between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


# --- values as people write them ------------------------------------------------------------------------------------


def read_lines(text: str) -> list[str]:
    """Return the texts in `text`, one per line, or as a YAML list: `[a, b]`."""
    if text.lstrip().startswith("["):
        try:
            found = read_data(text)
        except NotYaml:
            found = None  # a line that only begins so: [STATUS] == 200
        if isinstance(found, list):
            return found
    return [line.strip().removesuffix(",") for line in text.splitlines() if line.strip()]


def write_lines(texts: Sequence[Any]) -> str:
    """Return texts as `read_lines` takes them, nothing lost."""
    lines = "\n".join(map(str, texts))
    return lines if read_lines(lines) == list(texts) else dump_line(list(texts))


def read_pairs(text: str, sign: str) -> dict[str, Any]:
    """Return names and values: one pair per line, or a YAML mapping `{name: value}`.

    A line that is indented continues the one before. Labels (`name=value`) may also be separated by commas.

    Raises:
        forms.ValidationError: a line has no sign or no name. What stands there may be a secret and is not repeated.
    """
    if text.lstrip().startswith("{"):
        found = _yaml(text)
        if isinstance(found, dict):
            return found
    sign = sign.strip()
    pairs: dict[str, Any] = {}
    last = ""
    is_one = len(text.strip().splitlines()) == 1
    for number, line in enumerate(text.splitlines(), 1):
        if line[:1] in {" ", "\t"} and line.strip() and last:
            pairs[last] = f"{pairs[last]}\n{line.strip()}"
            continue
        parts = [part for part in line.split(",") if part.strip()]
        for part in parts if sign == "=" and all("=" in part for part in parts) else [line]:
            name, cut, value = part.partition(sign)
            last = name.strip()
            if part.strip() and not (cut and last):
                what = "no label: write name=value, one" if sign == "=" else "not “Name: value”. Write one"
                raise forms.ValidationError(f"{'This' if is_one else f'Line {number}'} is {what} per line.")
            if part.strip():
                pairs[last] = value.strip()
    return pairs


def write_pairs(pairs: Mapping[str, Any], sign: str) -> str:
    """Return names and values as `read_pairs` takes them, nothing lost."""
    lines = "\n".join(f"{name}{sign}{value}".replace("\n", "\n  ") for name, value in pairs.items())
    try:
        same = read_pairs(lines, sign) == pairs
    except forms.ValidationError:
        same = False
    return lines if same else dump_line(dict(pairs))


def _yaml(text: str) -> Any:
    try:
        return read_data(text)
    except NotYaml as error:
        raise forms.ValidationError(f"This is not YAML: {error.placed}.") from None
