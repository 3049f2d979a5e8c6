"""Forms of checks and of maintenance. What they gather is validated by the same specs as a file or the API."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import yaml
from django import forms
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError as FieldError
from django.utils import timezone
from pydantic import ValidationError

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import later
from mainstay.foundation.durations import format_duration
from mainstay.foundation.matching import Matchers
from mainstay.foundation.refusal import Refused
from mainstay.foundation.secrets import LEFT_MASK, keep_masked, left_mask, mask_all
from mainstay.foundation.small_yaml import BadYaml, read_yaml
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.checks.pages.kind_fields import KindField, assemble, field_at, fields_of
from mainstay.observe.checks.spec import CheckSpec, Common, MaintenanceSpec

SEVERITIES = [
    ("critical", "critical: the system is down"),
    ("major", "major: part of it is"),
    ("minor", "minor: low priority"),
]
_PROBED_ONLY = ("every", "timeout")


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as people write them, one per line."""
    return "\n".join(f"{name}={value}" for name, value in labels.items())


def parse_labels(text: str) -> dict[str, str]:
    """Return the labels in `text`: `name=value`, one per line or separated by commas.

    Raises:
        FieldError: a part has no `=` or no name.
    """
    found: dict[str, str] = {}
    for part in text.replace(",", "\n").splitlines():
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise FieldError(f"“{part.strip()}” is no label: write name=value, one per line.")
        found[name.strip()] = value.strip()
    return found


def in_words(kind: str, message: str) -> str:
    """Return a validator's message as people read it beside a field."""
    if kind == "missing":
        return "Give a value."
    if kind == "string_pattern_mismatch":
        link = "https?" in message
        return "Must begin with http:// or https://." if link else "Letters, digits, - and _ only."
    text = message.removeprefix("Value error, ").replace("Input should", "Must").replace("String should", "Must")
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


class CheckForm(forms.Form):
    """One check of one kind: the fields every check has, those of the kind, and the kind's settings as YAML."""

    name = forms.CharField(max_length=100, help_text="Unique within the application; letters, digits, - and _.")
    environment = forms.ChoiceField(required=False, help_text="Where the application runs that is watched.")
    component = forms.ChoiceField(
        required=False, help_text="The part that is watched. While what it needs is down, this check does not page."
    )
    every = forms.CharField(help_text="How often: 1s to 1d.")
    timeout = forms.CharField(help_text="Hard limit of one probe, up to 2m.")
    fail_after = forms.IntegerField(
        required=False, min_value=1, max_value=100, help_text="Failures in a row until it is down."
    )
    recover_after = forms.IntegerField(
        required=False, min_value=1, max_value=100, help_text="Successes in a row until it is up."
    )
    severity = forms.ChoiceField(choices=SEVERITIES, initial="major", help_text="Of the alert when it is down.")
    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "mono", "spellcheck": "false", "placeholder": "team=web"}),
        help_text="For routes, silences and maintenance: name=value, one per line.",
    )
    runbook = forms.CharField(
        required=False, max_length=500, help_text="Link to what to do when it is down; shown in the page."
    )
    needs = forms.CharField(
        required=False,
        help_text="Checks without which this one cannot be up, separated by commas: name, or application/name.",
    )
    paused = forms.BooleanField(required=False, help_text="Neither probed nor paged until someone resumes it.")
    from_yaml = forms.BooleanField(required=False, label="Take these settings instead of the fields above")
    yaml = forms.CharField(
        required=False,
        label="Settings as YAML",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 12, "class": "mono", "spellcheck": "false"}),
        help_text="As in a file. A secret shown as ******** is kept.",
    )

    def __init__(
        self,
        kind: str,
        application: Application,
        data: Any = None,
        *,
        check: Check | None = None,
        managed: bool = False,
    ) -> None:
        self.kind, self.application, self.check = kind, application, check
        self.stored: dict[str, Any] = check.config if check is not None and check.kind == kind else {}
        self.kind_fields: tuple[KindField, ...] = fields_of(KINDS[kind].Settings)
        self.spec: Common | None = None
        super().__init__(data, initial=self._initial())
        environments = [("", "–"), *((row.name, row.name) for row in application.environments.order_by("id"))]
        components = [("", "–"), *((row.name, row.name) for row in application.components.order_by("name"))]
        for name, choices in (("environment", environments), ("component", components)):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # for the type checker
            field.choices = choices
        if KINDS[kind].passive:
            for name in _PROBED_ONLY:
                del self.fields[name]
        for name, number in (("fail_after", 3), ("recover_after", 2)):
            self.fields[name].widget.attrs["placeholder"] = "1" if KINDS[kind].passive else str(number)
        for one in self.kind_fields:
            field = self.fields[one.name] = one.form_field()
            if data is not None and data.get("from_yaml"):
                field.required = False
        if managed:
            for field in self.fields.values():
                field.disabled = True

    def _initial(self) -> dict[str, Any]:
        masked = mask_all(self.stored)
        shown: dict[str, Any] = {one.name: one.shown(masked) for one in self.kind_fields}
        if masked:
            shown["yaml"] = yaml.safe_dump(masked, sort_keys=False, allow_unicode=True)
        check = self.check
        if check is None:
            return {**shown, "every": "60s", "timeout": "10s"}
        needs = [
            row.name if row.application_id == check.application_id else str(row)
            for row in check.needs.select_related("application").order_by("id")
        ]
        return {
            **shown,
            "name": check.name,
            "environment": check.environment.name if check.environment else "",
            "component": check.component.name if check.component else "",
            "every": format_duration(check.every_s),
            "timeout": format_duration(check.timeout_s),
            "fail_after": check.fail_after,
            "recover_after": check.recover_after,
            "severity": check.severity,
            "labels": labels_text(check.labels),
            "runbook": check.runbook,
            "needs": ", ".join(needs),
            "paused": check.paused,
        }

    def clean_labels(self) -> dict[str, str]:
        """Return the labels as a mapping."""
        return parse_labels(self.cleaned_data["labels"])

    def clean_needs(self) -> list[str]:
        """Return the names of the checks that this one needs."""
        return [name.strip() for name in self.cleaned_data["needs"].split(",") if name.strip()]

    def clean(self) -> dict[str, Any]:
        """Gather the spec; what it refuses becomes an error at its field."""
        given = self.cleaned_data
        settings = self._yaml_settings() if given.get("from_yaml") else self._field_settings()
        if self.errors or settings is None:
            return given
        document: dict[str, Any] = {
            name: given[name]
            for name in (
                "name", "environment", "component", "every", "timeout", "fail_after", "recover_after", "severity",
                "labels", "runbook", "needs", "paused",
            )
            if given.get(name) not in (None, "")
        }  # fmt: skip
        document[self.kind] = keep_masked(settings, self.stored, django_settings.SECRET_KEY)
        try:
            self.spec = CheckSpec.model_validate(document)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_context=False, include_input=False):
                self._refuse(one["loc"], in_words(one["type"], one["msg"]))
            return given
        if masked := left_mask(self.spec):
            self._refuse(masked, LEFT_MASK[:1].upper() + LEFT_MASK[1:] + ".")
        return given

    def _field_settings(self) -> dict[str, Any] | None:
        settings, errors = assemble(self.kind_fields, self.cleaned_data, self.stored)
        for name, message in errors.items():
            self.add_error(name, message)
        return settings

    def _yaml_settings(self) -> dict[str, Any] | None:
        try:
            settings = read_yaml(self.cleaned_data.get("yaml") or "")
        except BadYaml as error:
            self.add_error("yaml", f"This is not YAML: {error.detail}.")
            return None
        if settings is None:
            return {}
        if not isinstance(settings, dict):
            self.add_error("yaml", "Write the settings as a mapping, for example  url: https://shop.example/")
            return None
        return settings

    def _refuse(self, loc: tuple[int | str, ...], text: str) -> None:
        if loc and loc[0] == self.kind:
            where = ".".join(str(part) for part in loc[1:])
            if self.cleaned_data.get("from_yaml"):
                self.add_error("yaml", f"{where}: {text}" if where else text)
                return
            field = field_at(self.kind_fields, loc[1:])
            inner = ".".join(str(part) for part in loc[1 + len(field.path) :]) if field else where
            inner = "" if field and field.sort != "yaml" else inner
            self.add_error(field.name if field else None, f"{inner}: {text}" if inner else text)
            return
        name = str(loc[0]) if loc else ""
        self.add_error(name if name in self.fields else None, text)

    def refuse(self, refused: Refused) -> None:
        """Show why the action refused, at the field it names."""
        name = refused.field.partition(".")[0]
        text = refused.detail[:1].upper() + refused.detail[1:]
        self.add_error(name if name in self.fields else None, text if text.endswith(".") else f"{text}.")

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The kind's fields by group, for the template; `more` is what may stay folded."""
        out: list[dict[str, Any]] = []
        for group in dict.fromkeys(one.group for one in self.kind_fields):
            mine = [one for one in self.kind_fields if one.group == group]
            info = KINDS[self.kind].Settings.model_fields.get(group)
            out.append(
                {
                    "title": group.replace("_", " ").capitalize(),
                    "help": (info.description if info is not None else "") or "",
                    "open": [self._bound(one) for one in mine if one.open],
                    "more": (more := [self._bound(one) for one in mine if not one.open]),
                    "unfolded": any(entry["used"] for entry in more),
                }
            )
        return out

    def _bound(self, one: KindField) -> dict[str, Any]:
        bound = self[one.name]
        stored = one.sort == "secret" and bool(self._stored_at(one.path))
        used = bool(bound.errors) or stored or bool(self._stored_at(one.path))
        return {"field": bound, "stored": stored, "used": used}

    def _stored_at(self, path: tuple[str, ...]) -> Any:
        value: Any = self.stored
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


class MaintenanceForm(forms.Form):
    """A window, once or recurring. Times are in the zone of whoever fills it in, unless it recurs."""

    name = forms.CharField(max_length=200, help_text="What is done; people read it on the pages of what it covers.")
    application = forms.ModelChoiceField(
        Application.objects.order_by("name"), required=False, empty_label="all applications", to_field_name="name"
    )
    match = forms.CharField(
        required=False,
        label="Only checks with",
        widget=forms.TextInput(attrs={"class": "mono", "placeholder": "check=storefront, environment=production"}),
        help_text='Labels that a check must have: environment!=test, team=~"web|db". Empty: all checks.',
    )
    when = forms.ChoiceField(
        choices=[("once", "Once"), ("recurring", "Again and again")], widget=forms.RadioSelect, initial="once"
    )
    starts_at = forms.DateTimeField(
        required=False,
        label="From",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    ends_at = forms.DateTimeField(
        required=False,
        label="Until",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    cron = forms.CharField(
        required=False,
        max_length=100,
        label="Begins (cron)",
        widget=forms.TextInput(attrs={"class": "mono", "placeholder": "0 3 * * SUN"}),
        help_text="Minute, hour, day, month, weekday.",
    )
    duration = forms.CharField(
        required=False,
        label="Lasts",
        help_text="For example 90m or 2h: elapsed time, also on a night when the clock changes.",
    )
    time_zone = forms.CharField(
        required=False, max_length=64, help_text="The wall clock that the cron expression means."
    )

    def __init__(
        self,
        data: Any = None,
        *,
        row: Maintenance | None = None,
        initial: Mapping[str, Any] | None = None,
        now: datetime,
    ) -> None:
        self.row, self.now = row, now
        self.spec: MaintenanceSpec | None = None
        super().__init__(data, initial={**self._initial(), **(initial or {})})

    def _initial(self) -> dict[str, Any]:
        row, zone = self.row, timezone.get_current_timezone_name()
        if row is None:
            begin = self.now.replace(second=0, microsecond=0)
            return {"starts_at": begin, "ends_at": later(begin, timedelta(hours=1)), "time_zone": zone}
        return {
            "name": row.name,
            "application": row.application.name if row.application else "",
            "match": Matchers.of(row.match).write(),
            "when": "recurring" if row.cron else "once",
            "starts_at": row.starts_at,
            "ends_at": row.ends_at,
            "cron": row.cron,
            "duration": format_duration(row.duration_s) if row.duration_s else "",
            "time_zone": row.time_zone if row.cron else zone,
        }

    def clean(self) -> dict[str, Any]:
        """Gather the window."""
        given = self.cleaned_data
        recurring = given.get("when") == "recurring"
        needed = {"cron": "Say when it begins, for example  0 3 * * SUN."} if recurring else {}
        needed |= {} if recurring else dict.fromkeys(("starts_at", "ends_at"), "Give a date and a time.")
        for name, message in needed.items():
            if not given.get(name) and name not in self.errors:
                self.add_error(name, message)
        if self.errors:
            return given
        application = given.get("application")
        document = {"name": given["name"], "application": application.name if application else None}
        document |= {"matchers": [given["match"]] if given["match"] else []}
        if recurring:
            zone = given.get("time_zone") or "UTC"
            document |= {"cron": given["cron"], "duration": given["duration"] or 0, "timezone": zone}
        else:
            document |= {name: given[name] for name in ("starts_at", "ends_at")}
        try:
            self.spec = MaintenanceSpec.model_validate(document)
        except ValidationError as error:
            for found in error.errors(include_url=False):
                where = str(found["loc"][0])
                where = {"matchers": "match", "timezone": "time_zone"}.get(where, where)
                self.add_error(where if where in self.fields else None, in_words(found["type"], found["msg"]))
        return given
