"""Forms of checks and of maintenance. What they gather is validated by the same specs as a file or the API."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import later
from mainstay.foundation.words.durations import format_duration
from mainstay.foundation.words.explained import REQUIRED, Path
from mainstay.foundation.words.matching import Matchers
from mainstay.foundation.yaml.problems import NotYaml
from mainstay.foundation.yaml.read import read_data
from mainstay.foundation.yaml.write import dump
from mainstay.kit.forms import SEVERITY_CHOICES, DescribingForm, SpecForm, ZoneField, line, moment
from mainstay.kit.inputs import groups_of, read_lines
from mainstay.observe.checks.actions import shown_spec
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.checks.spec import CheckSpec, Common, MaintenanceSpec


class CheckForm(SpecForm):
    """One check of one kind: the fields every check has, those of the kind, and the kind's settings as YAML."""

    SPEC = CheckSpec

    environment = forms.ChoiceField(required=False, help_text="Where the application runs that is watched.")
    component = forms.ChoiceField(
        required=False, help_text="The part that is watched. While what it needs is down, this check does not page."
    )
    severity = forms.ChoiceField(choices=SEVERITY_CHOICES, initial="major", help_text="Of the alert when it is down.")
    needs = line(
        help_text="Checks without which this one cannot be up, separated by commas: name, or application/name."
    )
    from_yaml = forms.BooleanField(required=False, label="Take these settings instead of the fields above")
    yaml = line(
        "Settings as YAML",
        "As in a file. A secret shown as ******** is kept.",
        rows=12,
        mono=True,
        kept=True,
        spellcheck="false",
    )

    def __init__(
        self,
        kind: str,
        application: Application,
        data: Any = None,
        *,
        check: Check | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.kind, self.application, self.check, self.names = kind, application, check, names
        of_kind = groups_of(KINDS[kind].Settings, prefix="kind.", within=(kind,), folded={"conditions"})
        passive = KINDS[kind].passive
        own = [name for name in Common.model_fields if not (passive and name in {"every", "timeout"})]
        shown = shown_spec(check) if check is not None else {}
        settings = shown.get(kind)
        super().__init__(
            data,
            shown=shown,
            stored={kind: check.config} if check is not None else {},
            groups=(*groups_of(Common, only=own), *of_kind),
            initial={
                "needs": ", ".join(shown.get("needs", ())),
                "yaml": dump(settings) if settings else "",
            },
            managed=check is not None and bool(check.managed_by),
        )
        self.kind_inputs = [one.name for group in of_kind for one in group.inputs]
        for name, rows in (
            ("environment", application.environments.order_by("id")),
            ("component", application.components.order_by("name")),
        ):
            self.choose(name, [("", "–"), *((row.name, row.name) for row in rows)])
        for name, number in (("fail_after", 3), ("recover_after", 2)):
            self.fields[name].widget.attrs["placeholder"] = "1" if passive else str(number)
        if data is not None and data.get("from_yaml"):
            for name in self.kind_inputs:
                self.fields[name].required = False

    def kind_groups(self) -> list[dict[str, Any]]:
        """Return the groups of the kind's settings; those that every check has are placed by the page."""
        return self.drawn()[1:]

    def clean_needs(self) -> list[str]:
        """Return the names of the checks that this one needs."""
        return read_lines(self.cleaned_data["needs"].replace(",", "\n"))

    def document(self) -> dict[str, Any]:
        """Return the check; its settings from the fields, or from the YAML when that is asked for."""
        if not self.cleaned_data.get("from_yaml"):
            return {self.kind: {}, **super().document()}
        own = self.read(one for name, one in self.inputs.items() if name not in self.kind_inputs)
        try:
            settings = read_data(self.cleaned_data.get("yaml") or "")
        except NotYaml as error:
            self.add_error("yaml", f"This is not YAML: {error.placed}.")
            return own
        if not isinstance(settings, dict | None):
            self.add_error("yaml", "Write the settings as a mapping, for example  url: https://shop.example/")
        return {**own, self.kind: settings or {}}

    def input_at(self, path: Path) -> tuple[str | None, Path]:
        """Return the input that an error belongs to: the YAML when the settings came from there."""
        if path[:1] == (self.kind,) and self.cleaned_data.get("from_yaml"):
            return "yaml", path[1:]
        return super().input_at(path)


class MaintenanceForm(DescribingForm):
    """A window, once or recurring. Times are in the zone of whoever fills it in, unless it recurs."""

    SPEC = MaintenanceSpec
    PLACES = {"matchers": "match", "timezone": "time_zone"}
    WHOLE = frozenset({"match"})

    name = line(needed=True, most=200, help_text="What is done; people read it on the pages of what it covers.")
    application = forms.ModelChoiceField(
        Application.objects.order_by("name"), required=False, empty_label="all applications", to_field_name="name"
    )
    match = line(
        "Only checks with",
        'Labels that a check must have: environment!=test, team=~"web|db". Empty: all checks.',
        mono=True,
        placeholder="check=storefront, environment=production",
    )
    when = forms.ChoiceField(
        choices=[("once", "Once"), ("recurring", "Recurring")], widget=forms.RadioSelect, initial="once"
    )
    starts_at = moment("From")
    ends_at = moment("Until")
    cron = line("Begins (cron)", "Minute, hour, day, month, weekday.", most=100, mono=True, placeholder="0 3 * * SUN")
    duration = line("Lasts", "For example 90m or 2h: elapsed time, also on a night when the clock changes.")
    time_zone = ZoneField(required=False, help_text="The wall clock that the cron expression means.")

    def __init__(
        self, data: Any = None, *, row: Maintenance | None = None, initial: Mapping[str, Any], now: datetime
    ) -> None:
        self.row, self.now = row, now
        super().__init__(data, initial={**self._initial(), **initial})

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
        """Need the times that the kind of window has."""
        recurring = self.cleaned_data.get("when") == "recurring"
        for name in ("cron", "duration", "time_zone") if recurring else ("starts_at", "ends_at"):
            if not self.cleaned_data.get(name) and name not in self.errors:
                self.add_error(name, REQUIRED)
        return super().clean()

    def document(self, values: dict[str, Any]) -> dict[str, Any]:
        times = {"cron": "cron", "duration": "duration", "timezone": "time_zone"}
        if values["when"] != "recurring":
            times = {"starts_at": "starts_at", "ends_at": "ends_at"}
        return {
            "name": values["name"],
            "matchers": [values["match"]] if values["match"] else [],
            "application": values["application"].name if values["application"] else None,
            **{name: values[field] for name, field in times.items()},
        }
