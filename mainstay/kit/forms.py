"""Forms: errors beside the inputs that they are about, and forms that are made from a spec."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from pydantic import BaseModel, ValidationError

from mainstay.foundation.refusal import Refused
from mainstay.foundation.secrets import LEFT_MASK, MASK, LostKey, keep_masked, left_mask
from mainstay.foundation.words.explained import REQUIRED, Path, faults, sentence
from mainstay.foundation.words.names import SEVERITIES, zones
from mainstay.kit.inputs import Group, Input, groups_of

SEVERITY_CHOICES = list(
    zip(SEVERITIES, ("critical: the system is down", "major: part of it is", "minor: low priority"), strict=True)
)


class ZoneField(forms.CharField):
    """A time zone by its name in the tz database; `{% field %}` offers all of them."""

    def __init__(self, **given: Any) -> None:
        widget = forms.TextInput(attrs={"list": "zones", "autocomplete": "off"})
        super().__init__(max_length=64, widget=widget, **given)

    def clean(self, value: Any) -> str:
        """Return the name of a zone that there is, or an empty text where that may be."""
        name = str(super().clean(value))
        if name and name not in zones():
            raise forms.ValidationError(f"{name!r} is no time zone. Write for example Europe/Berlin or UTC.")
        return name


def line(
    label: str | None = None,
    help_text: str = "",
    *,
    needed: bool = False,
    most: int | None = None,
    rows: int = 0,
    mono: bool = False,
    kept: bool = False,
    **attrs: str,
) -> forms.CharField:
    """Return an input for a text.

    Args:
        label: made from the field's name unless given.
        most: letters.
        rows: of an input of several lines.
        mono: written as code is.
        kept: spaces around it count.
        attrs: of the element: `placeholder`, `spellcheck`, `autocomplete`.
    """
    given = {**({"rows": rows} if rows else {}), **({"class": "mono"} if mono else {}), **attrs}
    widget = forms.Textarea(attrs=given) if rows else forms.TextInput(attrs=given)
    return forms.CharField(
        label=label, help_text=help_text, required=needed, max_length=most, widget=widget, strip=not kept
    )


def moment(label: str, help_text: str = "") -> forms.DateTimeField:
    """Return an input for a date and a time in the person's zone, which may be left out."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, help_text=help_text, required=False, widget=widget)


def ticks(label: str, help_text: str, choices: Iterable[tuple[str, str]] = ()) -> forms.MultipleChoiceField:
    """Return boxes of which any number may be ticked."""
    return forms.MultipleChoiceField(
        label=label, help_text=help_text, required=False, choices=[*choices], widget=forms.CheckboxSelectMultiple
    )


class Form(forms.Form):
    """A form that shows what an action refused and what a spec did not take, beside the input or above all."""

    PLACES: ClassVar[Mapping[str, str]] = {}
    """Names of inputs by place in the document ("hours.from"), where they are not the same."""
    WHOLE: ClassVar[frozenset[str]] = frozenset()
    """Inputs whose text is one value, though the document has a list of it: places within it are not told."""

    def lock(self) -> None:
        """Show the fields, but take nothing: a file manages what they describe."""
        for field in self.fields.values():
            field.disabled = True

    def choose(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        """Set what a field offers."""
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = list(choices)

    def refuse(self, refused: Refused) -> None:
        """Show why an action refused."""
        path = tuple(int(part) if part.isdecimal() else part for part in refused.field.split(".") if part)
        self.tell(path, refused.detail)

    def show(self, error: ValidationError, model: type[BaseModel], document: Any) -> None:
        """Show what `model` does not take of `document`."""
        for fault in faults(error, model, document):
            self.tell(fault.path, fault.detail, missing=fault.missing)

    def tell(self, path: Path, detail: str, *, missing: bool = False) -> None:
        """Show what is wrong at `path` of the document."""
        name, inner = self.input_at(path)
        if not inner:
            self.add_error(name, REQUIRED if missing else sentence(detail))
            return
        where = ".".join(map(str, inner))
        if name and len(inner) == 1 and isinstance(inner[0], int):
            in_lines = isinstance(self.fields[name].widget, forms.Textarea)
            where = f"{'Line' if in_lines else 'Entry'} {inner[0] + 1}"
        self.add_error(name, sentence(detail, where))

    def input_at(self, path: Path) -> tuple[str | None, Path]:
        """Return the input for a place in the document (None: the whole form), and the place within its value."""
        for length in range(len(path), 0, -1):
            dotted = ".".join(map(str, path[:length]))
            name = self.PLACES.get(dotted, dotted)
            if name in self.fields:
                return name, () if name in self.WHOLE else path[length:]
        return None, path

    def is_stored(self, name: str) -> bool:
        """Tell whether the input is for a secret that is set, and so may stay empty."""
        return False

    def clear_box(self, name: str) -> forms.BoundField | None:
        """Return the box that removes the stored secret of an input."""
        return None


class DescribingForm(Form):
    """A form with fields of its own that describes what a spec does. After `is_valid`, `spec` is that."""

    SPEC: ClassVar[type[BaseModel]]

    def __init__(self, data: Any = None, **given: Any) -> None:
        self.spec: Any = None
        super().__init__(data, **given)

    def document(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return what the cleaned fields say, as the spec reads it.

        Raises:
            Refused.
        """
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        """Read the fields as the spec; what it does not take becomes an error at its field."""
        values = super().clean() or {}
        if self.errors:
            return values
        try:
            document = self.document(values)
            self.spec = self.SPEC.model_validate(document)
        except Refused as refused:
            self.refuse(refused)
        except ValidationError as error:
            self.show(error, self.SPEC, document)
        return values


class SpecForm(Form):
    """A form made from a spec: one input per field, errors at their inputs, secrets kept and never shown.

    Fields that the class declares stand in place of generated ones of the same name; their cleaned values go into the
    document. After `is_valid`, `spec` is what the form describes.
    """

    SPEC: ClassVar[type[BaseModel]]

    def __init__(
        self,
        data: Any = None,
        *,
        spec: type[BaseModel] | None = None,
        shown: Mapping[str, Any] | None = None,
        stored: Mapping[str, Any] | None = None,
        groups: Sequence[Group] | None = None,
        initial: Mapping[str, Any] | None = None,
        managed: bool = False,
    ) -> None:
        """Make the form.

        Args:
            spec: what it describes, where no class says so.
            shown: what there is, as a document of the spec with masked secrets; None for something new.
            stored: the same with sealed secrets, as far as it holds some.
            groups: the inputs; those of the spec unless given.
            initial: values by input that go before those of `shown`.
            managed: a file manages it, so nothing can be changed here.
        """
        self.model = spec or self.SPEC
        self.shown, self.stored = dict(shown or {}), dict(stored or {})
        self.groups = tuple(groups_of(self.model) if groups is None else groups)
        self.inputs = {one.name: one for group in self.groups for one in group.inputs}
        self.spec: Any = None
        values = {one.name: one.shown(value_at(self.shown, one.path)) for one in self.inputs.values()}
        super().__init__(data, initial={**values, **(initial or {})})
        for one in self.inputs.values():
            stored_secret = self.is_stored(one.name)
            if one.name not in self.fields:
                self.fields[one.name] = one.form_field(stored=stored_secret)
            if stored_secret and not one.required:
                label = f"Remove the stored {one.label if one.label.isupper() else one.label.lower()}"
                self.fields[one.clear] = forms.BooleanField(required=False, label=label)
        self.order_fields([name for one in self.inputs.values() for name in (one.name, one.clear)])
        if managed:
            self.lock()

    def is_stored(self, name: str) -> bool:
        one = self.inputs.get(name)
        return one is not None and one.sort == "secret" and bool(value_at(self.stored, one.path))

    def clear_box(self, name: str) -> forms.BoundField | None:
        one = self.inputs.get(name)
        return self[one.clear] if one is not None and one.clear in self.fields else None

    def clean(self) -> dict[str, Any]:
        """Read the inputs as the spec; what it does not take becomes an error at its input."""
        values = super().clean() or {}
        try:
            document = keep_masked(self.document(), self.stored, settings.SECRET_KEY)
        except LostKey as lost:
            self.add_error(None, sentence(str(lost)))
            return values
        unread = set(self.errors)
        try:
            self.spec = self.model.model_validate(document)
        except ValidationError as error:
            for fault in faults(error, self.model, document):
                # What could not be read is missing in the document: what follows from that is not said as well.
                if not unread or self.input_at(fault.path)[0] not in {None, *unread}:
                    self.tell(fault.path, fault.detail, missing=fault.missing)
            return values
        if not unread and (masked := left_mask(self.spec)):
            self.tell(masked, LEFT_MASK)
        return values

    def document(self) -> dict[str, Any]:
        """Return what the inputs say, as the spec reads it."""
        return self.read(self.inputs.values())

    def read(self, inputs: Iterable[Input]) -> dict[str, Any]:
        """Return what `inputs` say; what cannot be read becomes an error there."""
        found: dict[str, Any] = {}
        for one in inputs:
            if one.name in self.errors or one.name not in self.fields:
                continue
            try:
                value = one.given(self.cleaned_data.get(one.name), stored=value_at(self.shown, one.path) is not None)
            except forms.ValidationError as error:
                self.add_error(one.name, error)
                continue
            if value is None and self.is_stored(one.name) and not self.cleaned_data.get(one.clear):
                value = MASK
            if value is not None:
                holder = found
                for part in one.path[:-1]:
                    holder = holder.setdefault(part, {})
                holder[one.path[-1]] = value
        return found

    def input_at(self, path: Path) -> tuple[str | None, Path]:
        for one in self.inputs.values():
            if path[: len(one.path)] == one.path and one.name in self.fields:
                return one.name, path[len(one.path) :]
        if path and any(one.path[: len(path)] == path for one in self.inputs.values()):
            return None, ()  # about several inputs of one group
        return super().input_at(path)

    def drawn(self) -> list[dict[str, Any]]:
        """Return the groups as a page shows them: title, help, fields in the open, and those that are folded away."""
        out = []
        for group in self.groups:
            inside = [one for one in group.inputs if one.name in self.fields]
            more = [one for one in inside if not one.open]
            out.append(
                {
                    "title": group.title,
                    "help": group.help,
                    "open": [self[one.name] for one in inside if one.open],
                    "more": [self[one.name] for one in more],
                    "unfolded": any(
                        value_at(self.shown, one.path) not in (None, "", [], {}) or self[one.name].errors
                        for one in more
                    ),
                }
            )
        return out


def value_at(document: Any, path: Path) -> Any:
    """Return what stands at `path` of a document, None where nothing does."""
    for part in path:
        document = document.get(part) if isinstance(document, Mapping) else None
    return document
