"""The form of a scrape. What it gathers is validated by the same spec as a file or the API."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError as FieldError
from pydantic import ValidationError

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.durations import format_duration
from mainstay.foundation.refusal import Refused
from mainstay.foundation.secrets import LEFT_MASK, MASK, keep_masked, left_mask
from mainstay.foundation.yaml.problems import NotYaml
from mainstay.foundation.yaml.read import read_data
from mainstay.foundation.yaml.write import dump
from mainstay.observe.checks.pages.forms import in_words, labels_text, parse_labels
from mainstay.observe.metrics.actions import shown_spec
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.settings import from_prometheus
from mainstay.observe.metrics.spec import DEFAULT_EVERY_S, ScrapeSpec

_SECRETS = ("password", "bearer")
_PLAIN = ("scheme", "path", "username")
_NAMED = ("name", "application", "environment", "every", "timeout", "labels", "paused")
_MORE_EXAMPLE = "metric_relabel:\n  - {source_labels: [__name__], regex: 'go_.*', action: drop}\nfile: targets/*.json"


class ScrapeForm(forms.Form):
    """The fields that most scrapes need, and all others as YAML, in our words or in Prometheus'."""

    name = forms.CharField(
        max_length=100, help_text="Unique; letters, digits, - and _. It is the label <code>job</code> of all series."
    )
    application = forms.ModelChoiceField(
        Application.objects.order_by("name"),
        required=False,
        empty_label="–",
        to_field_name="name",
        help_text="The application that is measured; a label of its series.",
    )
    environment = forms.CharField(
        required=False, max_length=100, help_text="The application’s environment that is measured; a label, too."
    )
    targets = forms.CharField(
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 4, "class": "mono", "spellcheck": "false", "placeholder": "10.0.0.5:9100\n10.0.0.6:9100"}
        ),
        help_text="Addresses as host:port, one per line. Targets from files or DNS: under “More settings”.",
    )
    scheme = forms.ChoiceField(choices=[("http", "http"), ("https", "https")], required=False, initial="http")
    path = forms.CharField(required=False, max_length=2000, widget=forms.TextInput(attrs={"placeholder": "/metrics"}))
    every = forms.CharField(initial=format_duration(DEFAULT_EVERY_S), help_text="How often: 1s to 1d.")
    timeout = forms.CharField(required=False, help_text="Hard limit of one scrape; at most the interval.")
    username = forms.CharField(required=False, max_length=300, label="User name")
    password = forms.CharField(required=False, widget=forms.PasswordInput(attrs={"autocomplete": "off"}))
    bearer = forms.CharField(
        required=False, label="Bearer token", widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )
    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "mono", "spellcheck": "false", "placeholder": "team=web"}),
        help_text="Of all its targets’ series: name=value, one per line.",
    )
    paused = forms.BooleanField(required=False, help_text="Nothing is scraped until someone resumes it.")
    more = forms.CharField(
        required=False,
        label="More settings as YAML",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 10, "class": "mono", "spellcheck": "false", "placeholder": _MORE_EXAMPLE}),
        help_text="All that a file may say of a scrape, or lines of a Prometheus <code>scrape_config</code>. A secret "
        "shown as ******** is kept.",
    )

    def __init__(self, data: Any = None, *, scrape: Scrape | None = None) -> None:
        self.scrape = scrape
        self.stored: dict[str, Any] = dict(scrape.config) if scrape is not None else {}
        self.spec: ScrapeSpec | None = None
        super().__init__(data, initial=self._initial())
        for name in _SECRETS:
            if name in self.stored:
                self.fields[f"clear_{name}"] = forms.BooleanField(
                    required=False, label=f"Remove the stored {'password' if name == 'password' else 'token'}"
                )

    def _initial(self) -> dict[str, Any]:
        scrape = self.scrape
        if scrape is None:
            return {}
        document = shown_spec(scrape)
        targets = document.get("targets", [])
        plain = bool(targets) and all(isinstance(each, str) for each in targets)
        shown = {"targets", *_NAMED, *_PLAIN, *_SECRETS} if plain else {*_NAMED, *_PLAIN, *_SECRETS}
        more = {name: value for name, value in document.items() if name not in shown}
        return {
            "name": scrape.name,
            "application": scrape.application.name if scrape.application else None,
            "environment": scrape.environment.name if scrape.environment else "",
            "targets": "\n".join(targets) if plain else "",
            "every": format_duration(scrape.every_s),
            "timeout": format_duration(scrape.timeout_s) if "timeout" in document else "",
            "labels": labels_text(scrape.labels),
            "paused": scrape.paused,
            "more": dump(more) if more else "",
            **{name: document.get(name, "") for name in _PLAIN},
        }

    def secrets(self) -> list[tuple[forms.BoundField, bool, forms.BoundField | None]]:
        """Return the secret fields, whether one is stored, and the box that removes it."""
        return [
            (self[name], name in self.stored, self[f"clear_{name}"] if name in self.stored else None)
            for name in _SECRETS
        ]

    def clean_labels(self) -> dict[str, str]:
        """Return the labels as a mapping."""
        return parse_labels(self.cleaned_data["labels"])

    def clean_more(self) -> dict[str, Any]:
        """Return the further settings as a mapping, in our words."""
        try:
            found = read_data(self.cleaned_data["more"] or "")
        except NotYaml as error:
            raise FieldError(f"Nothing was taken over: {error}: {error.placed}.") from None
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise FieldError("Write the settings as a mapping, for example  path: /metrics")
        try:
            ours: dict[str, Any] = from_prometheus(found)
        except ValueError as error:
            raise FieldError(f"{error}.") from None
        given = sorted(set(map(str, ours)) & {*_NAMED})
        if given:
            raise FieldError(f"{', '.join(given)}: there is a field for this above.")
        return ours

    def clean(self) -> dict[str, Any]:
        """Gather the spec; what it refuses becomes an error at its field."""
        values = super().clean() or {}
        if self.errors:
            return values
        document: dict[str, Any] = dict(values["more"])
        addresses = [line.strip().rstrip(",") for line in values["targets"].splitlines() if line.strip()]
        if addresses:
            listed = document.get("targets", [])
            document["targets"] = [*addresses, *(listed if isinstance(listed, list) else [listed])]
        for name in (*_NAMED, *_PLAIN):
            value = values["application"].name if name == "application" and values["application"] else values[name]
            if value and not (name == "scheme" and value == "http"):
                document[name] = value
        for name in _SECRETS:
            if values[name]:
                document[name] = values[name]
            elif name in self.stored and not values.get(f"clear_{name}"):
                document.setdefault(name, MASK)
        document = keep_masked(document, self.stored, settings.SECRET_KEY)
        try:
            self.spec = ScrapeSpec.model_validate(document)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_context=False, include_input=False):
                self._refuse(one["loc"], in_words(one["type"], one["msg"]))
            return values
        if masked := left_mask(self.spec):
            self._refuse(masked, f"{LEFT_MASK[:1].upper()}{LEFT_MASK[1:]}.")
        return values

    def _refuse(self, loc: tuple[int | str, ...], text: str) -> None:
        name = str(loc[0]) if loc else ""
        inner = ".".join(map(str, loc[1:]))
        if name == "targets" and not self.cleaned_data.get("more", {}).get("targets"):
            self.add_error("targets", text)
        elif name in self.fields:
            self.add_error(name, f"{inner}: {text}" if inner else text)
        else:
            place = ".".join(map(str, loc))
            self.add_error("more" if place else None, f"{place}: {text}" if place else text)

    def refuse(self, refused: Refused) -> None:
        """Show why the action refused, at the field it names."""
        name = refused.field.partition(".")[0]
        text = refused.detail[:1].upper() + refused.detail[1:]
        self.add_error(name if name in self.fields else None, text if text.endswith(".") else f"{text}.")
