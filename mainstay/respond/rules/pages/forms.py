"""The form of one rule. What it gathers is validated by the same specification as a rule file or the API."""

from collections.abc import Mapping
from typing import Any

from django import forms
from pydantic import ValidationError

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.explained import Path, faults
from mainstay.kit.forms import SEVERITY_CHOICES, DescribingForm, line
from mainstay.kit.inputs import read_pairs, write_pairs
from mainstay.observe.metrics.durations import written
from mainstay.respond.rules.actions import spec_of
from mainstay.respond.rules.models import Rule, RuleGroup
from mainstay.respond.rules.spec import RuleGroupSpec, RuleSpec

NEW_GROUP = "new"
SEVERITIES = [("", "none: counts as major"), *SEVERITY_CHOICES]
SAID = ("summary", "description", "cause", "first_step", "runbook_url")


class RuleForm(DescribingForm):
    """One rule of one group."""

    SPEC = RuleSpec
    PLACES = {
        "alert": "name",
        "record": "name",
        "for": "for_",
        "interval": "every",
        "name": "new_group",
        "labels.severity": "severity",
        "labels.application": "application",
        **{f"annotations.{name}": name for name in SAID},
    }

    kind = forms.ChoiceField(
        choices=[("alert", "raises alerts"), ("record", "records a series")],
        widget=forms.RadioSelect,
        label="This rule",
    )
    name = line(
        needed=True,
        most=200,
        help_text="What people read in the page at night, such as ErrorRateHigh; of a series recorded, its name.",
    )
    expr = forms.CharField(
        max_length=20_000,
        label="Expression",
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono promql", "spellcheck": "false", "autocomplete": "off"}),
        help_text="PromQL. An alert fires for each series that it gives: compare with a limit, as in … > 0.05.",
    )
    for_ = line("For", "How long it must hold before it fires: 5m. Empty: fires at once.")
    keep_firing_for = line("Fires on for", "How long it fires on when it no longer holds; calms flapping.")
    severity = forms.ChoiceField(choices=SEVERITIES, required=False)
    application = forms.ChoiceField(
        required=False, help_text="The application it is about, when the series have no label “application”."
    )
    labels = line("Further labels", "name=value, one per line. Routes and silences match them.", rows=2, mono=True)
    summary = line(most=10_000, help_text="One line: what is wrong, with {{ $labels.instance }} and {{ $value }}.")
    description = line(rows=2, help_text="What it means for people who use it.")
    cause = line("Likely cause", rows=2)
    first_step = line(rows=2, help_text="What to do first, at 3 a.m., half asleep: one command or one page.")
    runbook_url = line("Runbook", most=500)
    annotations = line(
        "Further annotations", "name: value, one per line; a line that is indented goes on.", rows=2, mono=True
    )
    group = forms.ChoiceField(help_text="Rules of a group are evaluated together, one after another.")
    new_group = line("Name of the new group", most=200)
    every = line("Evaluated every", "15s where nothing is written.")
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        data: Any = None,
        *,
        rule: Rule | None = None,
        expr: str = "",
        group: str = "",
    ) -> None:
        self.rule = rule
        groups = {
            str(pk): name
            for pk, name in RuleGroup.objects.filter(managed_by="").order_by("name").values_list("pk", "name")
        }
        initial = of_rule(rule) if rule is not None else {"kind": "alert", "expr": expr, "severity": "major"}
        if rule is None:
            wanted = (pk for pk, name in groups.items() if name == group)
            initial["group"] = next(wanted, next(iter(groups), NEW_GROUP))
        super().__init__(data, initial=initial)
        if rule is not None:
            del self.fields["group"]  # it stays in its group
        else:
            self.choose("group", [*groups.items(), (NEW_GROUP, "a new group …")])
        names = list(Application.objects.order_by("name").values_list("name", flat=True))
        given = initial.get("application", "")
        names += [given] if given and given not in names else []
        self.choose("application", [("", "as the series say"), *((name, name) for name in names)])
        given = initial.get("severity", "")
        if given and given not in dict(SEVERITIES):
            self.choose("severity", [*SEVERITIES, (given, given)])
        if rule is not None and rule.group.managed_by:
            self.lock()

    def clean_labels(self) -> dict[str, str]:
        """Read the labels."""
        return read_pairs(self.cleaned_data["labels"], "=")

    def clean_annotations(self) -> dict[str, str]:
        """Read the annotations that have no field of their own."""
        return read_pairs(self.cleaned_data["annotations"], ": ")

    def document(self, values: dict[str, Any]) -> dict[str, Any]:
        return document(values)

    def input_at(self, path: Path) -> tuple[str | None, Path]:
        """Return the input that an error belongs to; of the rules of its group this is the one."""
        return super().input_at(path[2:] if path[:1] == ("rules",) else path)

    # --- the group it goes into -------------------------------------------------------------------------------------

    def target(self) -> tuple[RuleGroup | None, RuleGroupSpec, int]:
        """Return the group that is to change (None: a new one), what it is to say, and the place of this rule in it.

        Raises:
            Refused: there is no such group, or it was edited since the form was shown.
        """
        assert self.spec is not None  # a valid form has one
        if self.rule is not None:
            group = self.rule.group
            self._need_unedited(group)
            spec = spec_of(group)
            index = place_of(self.rule)
            rules = [*spec.rules[:index], self.spec, *spec.rules[index + 1 :]]
            return group, spec.model_copy(update={"rules": rules}), index
        name = self.cleaned_data["group"]
        if name == NEW_GROUP:
            new = self.cleaned_data["new_group"].strip()
            if not new:
                raise Refused("name the new group", "new_group")
            return None, _new_group(new, self.cleaned_data["every"], self.spec), 0
        found = RuleGroup.objects.filter(pk=name).first()
        if found is None:
            raise Refused("this group is not there any more", "group")
        spec = spec_of(found)
        return found, spec.model_copy(update={"rules": [*spec.rules, self.spec]}), len(spec.rules)

    def _need_unedited(self, group: RuleGroup) -> None:
        shown = self.cleaned_data.get("version")
        if shown is not None and shown != group.version:
            raise Refused(
                "the group was edited meanwhile by somebody else; load the page again and make your change there",
                "expr",
                conflict=True,
            )


def _new_group(name: str, every: str, rule: RuleSpec) -> RuleGroupSpec:
    given = {"name": name, "rules": [rule.model_dump(by_alias=True)]} | ({"interval": every} if every.strip() else {})
    try:
        return RuleGroupSpec.model_validate(given)
    except ValidationError as error:
        fault = faults(error, RuleGroupSpec, given)[0]
        raise Refused(fault.detail, ".".join(map(str, fault.path))) from None


def place_of(rule: Rule) -> int:
    """Return the place of a rule within its group, from 0."""
    return list(rule.group.rules.order_by("position", "id").values_list("pk", flat=True)).index(rule.pk)


def document(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the fields say as a rule file has it."""
    alerts = given.get("kind") == "alert"
    labels = {
        name: text
        for name, text in (("severity", given.get("severity")), ("application", given.get("application")))
        if text and alerts
    }
    found: dict[str, Any] = {
        "alert" if alerts else "record": given.get("name", ""),
        "expr": given.get("expr", ""),
        "labels": {**labels, **(given.get("labels") or {})},
    }
    if alerts:
        said = {name: given[name] for name in SAID if given.get(name)}
        found["annotations"] = {**said, **(given.get("annotations") or {})}
        for name, field in (("for", "for_"), ("keep_firing_for", "keep_firing_for")):
            if (given.get(field) or "").strip():
                found[name] = given[field].strip()
    return found


def of_rule(rule: Rule) -> dict[str, Any]:
    """Return the fields of a rule that exists."""
    labels, annotations = dict(rule.labels), dict(rule.annotations)
    return {
        "kind": "alert" if rule.alerts else "record",
        "name": rule.name,
        "expr": rule.expr,
        "for_": written(rule.for_s) if rule.for_s else "",
        "keep_firing_for": written(rule.keep_firing_for_s) if rule.keep_firing_for_s else "",
        "severity": labels.pop("severity", ""),
        "application": labels.pop("application", ""),
        "labels": write_pairs(labels, "="),
        **{name: annotations.pop(name, "") for name in SAID},
        "annotations": write_pairs(annotations, ": "),
        "version": rule.group.version,
    }
