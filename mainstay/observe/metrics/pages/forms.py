"""The form of a scrape. What it gathers is validated by the same spec as a file or the API."""

from typing import Any

from django import forms

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.secrets import MASK
from mainstay.foundation.words.explained import Path, sentence
from mainstay.foundation.yaml.problems import NotYaml
from mainstay.foundation.yaml.read import read_data
from mainstay.foundation.yaml.write import dump
from mainstay.kit.forms import SpecForm, line
from mainstay.kit.inputs import groups_of, read_lines
from mainstay.observe.metrics.actions import shown_spec
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.pasted import from_prometheus
from mainstay.observe.metrics.spec import ScrapeSpec

_FIELDS = frozenset(
    {"name", "application", "environment", "every", "timeout", "labels", "paused", "scheme", "path", "username",
     "password", "bearer"}
)  # fmt: skip
_NOT_IN_MORE = _FIELDS - {"scheme", "path", "username", "password", "bearer"}  # a `scrape_config` may say these
_MORE_EXAMPLE = "metric_relabel:\n  - {source_labels: [__name__], regex: 'go_.*', action: drop}\nfile: targets/*.json"


class ScrapeForm(SpecForm):
    """The fields that most scrapes need, and all others as YAML, in our words or in Prometheus'."""

    SPEC = ScrapeSpec

    application = forms.ModelChoiceField(
        Application.objects.order_by("name"),
        required=False,
        empty_label="–",
        to_field_name="name",
        help_text="The application that is measured; a label of its series.",
    )
    targets = line(
        help_text="Addresses as host:port, one per line. Targets from files or DNS: under “More settings”.",
        rows=4,
        mono=True,
        spellcheck="false",
        placeholder="10.0.0.5:9100\n10.0.0.6:9100",
    )
    more = line(
        "More settings as YAML",
        "All that a file may say of a scrape, or lines of a Prometheus <code>scrape_config</code>. A secret "
        "shown as ******** is kept.",
        rows=10,
        mono=True,
        kept=True,
        spellcheck="false",
        placeholder=_MORE_EXAMPLE,
    )

    def __init__(self, data: Any = None, *, scrape: Scrape | None = None) -> None:
        self.scrape = scrape
        shown = shown_spec(scrape) if scrape is not None else {}
        targets = shown.get("targets", [])
        plain = all(isinstance(each, str) for each in targets)
        asked = {*_FIELDS, "targets"} if plain else _FIELDS
        more = {name: value for name, value in shown.items() if name not in asked}
        super().__init__(
            data,
            shown=shown,
            stored=scrape.config if scrape is not None else {},
            groups=groups_of(ScrapeSpec, only=_FIELDS),
            initial={
                "targets": "\n".join(targets) if plain else "",
                "more": dump(more) if more else "",
            },
            managed=scrape is not None and bool(scrape.managed_by),
        )

    def clean_application(self) -> str | None:
        """Return the name of the application."""
        chosen = self.cleaned_data["application"]
        return chosen.name if chosen is not None else None

    def clean_more(self) -> dict[str, Any]:
        """Return the further settings as a mapping, in our words."""
        try:
            found = read_data(self.cleaned_data["more"] or "")
        except NotYaml as error:
            raise forms.ValidationError(f"Nothing was taken over: {error}: {error.placed}.") from None
        if not isinstance(found, dict | None):
            raise forms.ValidationError("Write the settings as a mapping, for example  path: /metrics")
        try:
            ours: dict[str, Any] = from_prometheus(found or {})
        except ValueError as error:
            raise forms.ValidationError(sentence(str(error))) from None
        given = sorted(set(map(str, ours)) & _NOT_IN_MORE)
        if given:
            raise forms.ValidationError(f"{', '.join(given)}: there is a field for this above.")
        return ours

    def document(self) -> dict[str, Any]:
        """Return the scrape: the fields, and what was written as YAML."""
        more = self.cleaned_data.get("more") or {}
        targets = read_lines(self.cleaned_data.get("targets", ""))
        if targets:
            listed = more.get("targets", [])
            more = {**more, "targets": [*targets, *(listed if isinstance(listed, list) else [listed])]}
        own = super().document()  # a secret that is only kept gives way to one that was written
        return {**more, **{name: value for name, value in own.items() if not (value == MASK and name in more)}}

    def input_at(self, path: Path) -> tuple[str | None, Path]:
        """Return the input that an error belongs to; what has none was written as YAML."""
        name, inner = super().input_at(path)
        if name == "targets" and "targets" in (self.cleaned_data.get("more") or {}):
            return "more", path
        return (name, inner) if name or not path else ("more", path)
