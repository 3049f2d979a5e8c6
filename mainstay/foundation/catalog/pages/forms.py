"""The form of an application with its environments, components and links; validated by the spec of files and API."""

from typing import Any

from django import forms

from mainstay.foundation.accounts.models import Team
from mainstay.foundation.catalog.actions import spec_of
from mainstay.foundation.catalog.models import TIERS, Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.words.explained import Path, sentence
from mainstay.kit.forms import DescribingForm, Form, line
from mainstay.kit.inputs import read_lines

BLANK_ROWS = 2


class EnvironmentRow(Form):
    """One environment; a row without a name is left out."""

    name = line(most=100)
    url = line("Address", most=500)


class ComponentRow(Form):
    """One component."""

    name = line(most=100)
    description = line(most=500)
    needs = line("Needs")


class LinkRow(Form):
    """One link."""

    label = line(most=100)
    url = line("Address", most=500)


_ROWS: dict[str, tuple[type[Form], str, str]] = {
    "environments": (
        EnvironmentRow,
        "name",
        "Where it runs. A check names one of them; emptying a row removes it from its checks.",
    ),
    "components": (
        ComponentRow,
        "name",
        "Its parts, and what each cannot work without: names separated by commas; of others, application/name. "
        "While a needed part is down, what needs it does not page.",
    ),
    "links": (LinkRow, "label", "Shown on its page: dashboards, runbooks, contracts."),
}
"""Parts of an application: what a row is, the field without which it is left out, and what a page says."""


class ApplicationForm(DescribingForm):
    """One application. `rows[part]` holds the forms of its environments, components and links."""

    SPEC = ApplicationSpec

    name = line(needed=True, most=100, help_text="Unique; letters, digits, - and _. Used in URLs.")
    tier = forms.ChoiceField(
        choices=list(TIERS.items()),
        initial="standard",
        help_text="How critical it is for the business, for example critical for a checkout.",
    )
    owner = forms.ModelChoiceField(
        Team.objects.order_by("name"),
        required=False,
        empty_label="no team",
        to_field_name="name",
        help_text="The team that looks after it.",
    )
    repository = line(most=500, help_text="Address of its source.")
    description = line(rows=2)

    def __init__(self, data: Any = None, *, application: Application | None = None) -> None:
        shown = spec_of(application).model_dump() if application is not None else {}
        super().__init__(data, initial=shown)
        self.rows = {part: self._part(part, data, shown.get(part, [])) for part in _ROWS}
        if application is not None and application.managed_by:
            for form in (self, *(row for rows in self.rows.values() for row in rows)):
                form.lock()

    def _part(self, part: str, data: Any, shown: list[dict[str, Any]]) -> list[Form]:
        kind = _ROWS[part][0]
        if data is None:
            initial = [{**row, "needs": ", ".join(row.get("needs", []))} for row in shown] + [{}] * BLANK_ROWS
            return [kind(prefix=f"{part}-{i}", initial=row) for i, row in enumerate(initial)]
        rows: list[Form] = []
        while len(rows) < 500 and any(f"{part}-{len(rows)}-{name}" in data for name in kind.base_fields):
            rows.append(kind(data, prefix=f"{part}-{len(rows)}"))
        return rows

    def _kept(self, part: str) -> list[Form]:
        """Return the rows that are filled in; one without its name, but with more, is an error there."""
        key = _ROWS[part][1]
        kept = []
        for row in self.rows[part]:
            if not row.is_valid():
                self.add_error(None, f"{part.capitalize()}: see below.")
            elif row.cleaned_data[key]:
                kept.append(row)
            elif any(row.cleaned_data.values()):
                row.add_error(key, "Give a name, or empty the whole row.")
                self.add_error(None, f"{part.capitalize()}: a row has no name.")
        return kept

    def clean(self) -> dict[str, Any]:
        """Look through the rows first."""
        self._filled = {part: self._kept(part) for part in _ROWS}
        return super().clean()

    def document(self, values: dict[str, Any]) -> dict[str, Any]:
        rows = {part: [row.cleaned_data for row in kept] for part, kept in self._filled.items()}
        for row in rows["components"]:
            row["needs"] = read_lines(row["needs"].replace(",", "\n"))
        return {**values, "owner": values["owner"].name if values["owner"] else None, **rows}

    def tell(self, path: Path, detail: str, *, missing: bool = False) -> None:
        """Show what is wrong at `path`: in its row, and above the form which table that is in."""
        part, *rest = path or ("",)
        rows = self._filled.get(str(part), [])
        if rest and isinstance(rest[0], int) and rest[0] < len(rows):
            rows[rest[0]].tell(tuple(rest[1:]), detail, missing=missing)
            self.add_error(None, sentence(detail, str(part).capitalize()))
        else:
            super().tell(path, detail, missing=missing)

    @property
    def tables(self) -> list[dict[str, Any]]:
        """The rows by part, with what a page says of them."""
        return [
            {
                "part": part,
                "title": part.capitalize(),
                "help": help_text,
                "rows": self.rows[part],
                "head": [bound.label for bound in kind()],
            }
            for part, (kind, _, help_text) in _ROWS.items()
        ]
