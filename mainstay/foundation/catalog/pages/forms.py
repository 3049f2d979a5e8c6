"""The form of an application with its environments, components and links; validated by the spec of files and API."""

from typing import Any

from django import forms
from pydantic import ValidationError

from mainstay.foundation.accounts.models import Team
from mainstay.foundation.catalog.actions import spec_of
from mainstay.foundation.catalog.models import TIERS, Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.explained import Path, sentence
from mainstay.kit.forms import Form
from mainstay.kit.inputs import read_lines

BLANK_ROWS = 2


class EnvironmentRow(Form):
    """One environment; a row without a name is left out."""

    name = forms.CharField(required=False, max_length=100)
    url = forms.CharField(required=False, max_length=500, label="Address")


class ComponentRow(Form):
    """One component."""

    name = forms.CharField(required=False, max_length=100)
    description = forms.CharField(required=False, max_length=500)
    needs = forms.CharField(required=False, label="Needs")


class LinkRow(Form):
    """One link."""

    label = forms.CharField(required=False, max_length=100)
    url = forms.CharField(required=False, max_length=500, label="Address")


_ROWS: dict[str, tuple[type[Form], str]] = {
    "environments": (EnvironmentRow, "name"),
    "components": (ComponentRow, "name"),
    "links": (LinkRow, "label"),
}


class ApplicationForm(Form):
    """One application. `rows[part]` holds the forms of its environments, components and links."""

    name = forms.CharField(max_length=100, help_text="Unique; letters, digits, - and _. It stands in addresses.")
    tier = forms.ChoiceField(choices=list(TIERS.items()), initial="standard", help_text="How much hangs on it.")
    owner = forms.ModelChoiceField(
        Team.objects.order_by("name"),
        required=False,
        empty_label="no team",
        to_field_name="name",
        help_text="The team that looks after it.",
    )
    repository = forms.CharField(required=False, max_length=500, help_text="Address of its source.")
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, data: Any = None, *, application: Application | None = None) -> None:
        self.application = application
        self.spec: ApplicationSpec | None = None
        shown = spec_of(application).model_dump() if application is not None else {}
        super().__init__(data, initial=shown)
        self.rows = {part: self._part(part, data, shown.get(part, [])) for part in _ROWS}
        if application is not None and application.managed_by:
            for form in (self, *(row for rows in self.rows.values() for row in rows)):
                form.lock()

    def _part(self, part: str, data: Any, shown: list[dict[str, Any]]) -> list[Form]:
        kind, _ = _ROWS[part]
        if data is None:
            initial = [{**row, "needs": ", ".join(row.get("needs", []))} for row in shown] + [{}] * BLANK_ROWS
            return [kind(prefix=f"{part}-{i}", initial=row) for i, row in enumerate(initial)]
        rows: list[Form] = []
        while len(rows) < 500 and any(f"{part}-{len(rows)}-{name}" in data for name in kind.base_fields):
            rows.append(kind(data, prefix=f"{part}-{len(rows)}"))
        return rows

    def _kept(self, part: str) -> list[Form]:
        """Return the rows that are filled in; one without its name, but with more, is an error there."""
        _, key = _ROWS[part]
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
        """Gather the spec; what it refuses becomes an error at its field."""
        given = self.cleaned_data
        self._filled = {part: self._kept(part) for part in _ROWS}
        if self.errors:
            return given
        document = {
            "name": given["name"],
            "tier": given["tier"],
            "owner": given["owner"].name if given["owner"] else None,
            "repository": given["repository"],
            "description": given["description"],
            "environments": [row.cleaned_data for row in self._filled["environments"]],
            "components": [
                {
                    **row.cleaned_data,
                    "needs": read_lines(row.cleaned_data["needs"].replace(",", "\n")),
                }
                for row in self._filled["components"]
            ],
            "links": [row.cleaned_data for row in self._filled["links"]],
        }
        try:
            self.spec = ApplicationSpec.model_validate(document)
        except ValidationError as error:
            self.show(error, ApplicationSpec, document)
        return given

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
        words = {
            "environments": (
                "Environments",
                "Where it runs. A check names one of them; emptying a row removes it from its checks.",
            ),
            "components": (
                "Components",
                "Its parts, and what each cannot work without: names separated by commas; of others, application/name. "
                "While a needed part is down, what needs it does not page.",
            ),
            "links": ("Links", "Shown on its page: dashboards, runbooks, contracts."),
        }
        return [
            {
                "part": part,
                "title": title,
                "help": help_text,
                "rows": self.rows[part],
                "head": [bound.label for bound in _ROWS[part][0]()],
            }
            for part, (title, help_text) in words.items()
        ]
