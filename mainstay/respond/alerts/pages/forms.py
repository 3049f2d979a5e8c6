"""Forms of alerts: silences, routes, and the question who would be paged."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms

from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.durations import format_duration, write_span
from mainstay.foundation.words.matching import Matchers
from mainstay.foundation.words.names import SEVERITIES
from mainstay.kit.forms import DescribingForm, Form, ZoneField, line, moment, ticks
from mainstay.respond.alerts.decide import DAYS
from mainstay.respond.alerts.models import Route
from mainstay.respond.alerts.spec import RouteSpec, SilenceNote, SilenceSpec

DURATIONS = (
    (1800, "30 minutes"),
    (3600, "1 hour"),
    (14_400, "4 hours"),
    (43_200, "12 hours"),
    (86_400, "1 day"),
    (604_800, "1 week"),
    (2_592_000, "30 days"),
)
_CLOCK = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
_DAY_NAMES = dict(zip(DAYS, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True))


class SilenceForm(DescribingForm):
    """What is silenced (ticked labels, or labels as text), how long, and why."""

    SPEC = SilenceSpec
    PLACES = {"match": "matchers", "ends_at": "duration", "starts_at": "starts"}
    WHOLE = frozenset({"matchers"})

    matchers = line(
        "Labels",
        'Alerts that have all of these: application=shop, environment!=test, instance=~"web-.*".',
        most=2000,
        mono=True,
        placeholder="application=shop, check=storefront",
    )
    starts = moment("From", "Empty: now. In your time zone.")
    duration = forms.TypedChoiceField(label="For", coerce=int, choices=DURATIONS, initial=3600)

    def __init__(self, data: Any = None, *, ticked: Iterable[str] = (), **given: Any) -> None:
        super().__init__(data, **given)
        self.ticked = list(ticked)
        for name, info in SilenceNote.model_fields.items():
            self.fields[name] = line(
                info.title,
                info.description or "",
                needed=info.is_required(),
                most=next((one.max_length for one in info.metadata if hasattr(one, "max_length")), None),
                rows=2 if name == "comment" else 0,
            )

    def document(self, values: dict[str, Any]) -> dict[str, Any]:
        return {
            "starts_at": values["starts"],
            "duration": values["duration"],
            **{name: values[name] for name in SilenceNote.model_fields},
            "matchers": [text for text in (values["matchers"], *self.ticked) if text],
        }


class RouteForm(DescribingForm):
    """A route."""

    SPEC = RouteSpec
    PLACES = {"matchers": "match", "hours.from": "begin", "hours.to": "end"} | {
        f"hours.{name}": name for name in ("days", "timezone")
    }
    WHOLE = frozenset({"match"})

    name = line(most=100, help_text="Letters, digits, - and _. Empty: made from what it matches.")
    severity = ticks("Severity is", "None ticked: any.", [(name, name) for name in SEVERITIES])
    match = line(
        "And labels are",
        'One per line: environment=production, team!=web, application=~"shop|billing". Empty: every alert.',
        rows=3,
        mono=True,
        placeholder='application=~"shop|billing"\nenvironment=production',
    )
    notify = ticks("Notify", "All of them are told.")
    fallback = line(
        help_text="Names of channels, in order. Each is tried when the one before does not answer.",
        placeholder="sms, phone",
    )
    remind_every = line(
        "Remind every",
        "Page again so often until somebody acknowledges: 30s, 15m, 2h. Empty: page once.",
        most=20,
        placeholder="15m",
    )
    also = forms.BooleanField(
        required=False,
        label="Go on to the next route after this one",
        help_text="Else the first route that matches decides alone.",
    )
    days = ticks("Only on", "None ticked and no hours: always.", _DAY_NAMES.items())
    begin = forms.TimeField(required=False, label="from", widget=_CLOCK)
    end = forms.TimeField(required=False, label="to", widget=_CLOCK)
    timezone = ZoneField(required=False, label="in the time zone")

    def __init__(self, data: Any = None, *, row: Route | None = None, channels: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(data, initial=route_initial(row) if row is not None else None)
        self.choose("notify", ((name, f"{name} ({target})" if target else name) for name, target in channels))
        if row is not None and row.managed_by:
            self.lock()

    def document(self, values: dict[str, Any]) -> dict[str, Any]:
        others = Matchers.read(texts=[values["match"]], place="match")
        if values["severity"] and any(one.name == "severity" for one in others.all):
            raise Refused("severity is ticked above already", "match")
        document: dict[str, Any] = {
            "match": {"severity": values["severity"]} if values["severity"] else {},
            "matchers": [values["match"]],
            "notify": values["notify"],
            "fallback": [name for name in values["fallback"].replace(",", " ").split() if name],
            "also": values["also"],
        }
        if values["name"]:
            document["name"] = values["name"]
        if values["remind_every"]:
            document["remind_every"] = values["remind_every"]
        if values["days"] or values["begin"] or values["end"]:
            document["hours"] = {
                "from": f"{values['begin']:%H:%M}" if values["begin"] else "00:00",
                "to": f"{values['end']:%H:%M}" if values["end"] else "00:00",
                "timezone": values["timezone"] or "UTC",
            } | ({"days": values["days"]} if values["days"] else {})
        return document


def route_initial(row: Route) -> dict[str, Any]:
    """Return what the form shows of a stored route."""
    wanted = Matchers.of(row.match).all
    ticked = [one for one in wanted if one.name == "severity"]
    if not all(one.operator == "=" and set(one.texts) <= set(SEVERITIES) for one in ticked):
        ticked = []
    times = row.times or {}
    return {
        "name": row.name,
        "severity": [text for one in ticked for text in one.texts],
        "match": "\n".join(text for one in wanted if one not in ticked for text in one.written()),
        "notify": row.notify,
        "fallback": ", ".join(row.fallback),
        "remind_every": format_duration(row.remind_every_s) if row.remind_every_s else "",
        "also": row.also,
        "days": times.get("days", []),
        "begin": times.get("from", ""),
        "end": times.get("to", ""),
        "timezone": times.get("timezone", ""),
    }


def shown_hours(times: dict[str, Any]) -> str:
    """Return a route's hours in words: "Mon–Fri 08:00–18:00 Europe/Berlin"; empty when it is always open."""
    if not times:
        return ""
    if not (isinstance(times.get("days"), list) and times.keys() >= {"from", "to", "timezone"}):
        return "hours that cannot be read"
    days = [day for day in DAYS if day in times["days"]]
    places = [DAYS.index(day) for day in days]
    together = len(days) > 2 and places == list(range(places[0], places[-1] + 1))
    words = (
        "daily"
        if len(days) == 7
        else f"{_DAY_NAMES[days[0]]}–{_DAY_NAMES[days[-1]]}"
        if together
        else ", ".join(_DAY_NAMES[d] for d in days)
    )
    clock = "all day" if times["from"] == times["to"] else f"{times['from']}–{times['to']}"
    return f"{words} {clock} {times['timezone']}"


def shown_reminder(seconds: float | None) -> str:
    """Return how often a route reminds, in words; empty when it does not."""
    return write_span(timedelta(seconds=seconds)) if seconds else ""


class TesterForm(Form):
    """Labels of an alert that might be, and when."""

    severity = forms.ChoiceField(choices=[(name, name) for name in SEVERITIES], required=False)
    application = forms.ChoiceField(required=False)
    environment = line(most=100, placeholder="production")
    check_name = line("Check", most=100, placeholder="storefront")
    labels = line("Further labels", most=2000, mono=True, placeholder="team=payments")
    at = moment("At", "Empty: now.")

    def __init__(self, data: Any = None, *, applications: Iterable[str] = (), **given: Any) -> None:
        super().__init__(data, **given)
        self.choose("application", [("", "any"), *((name, name) for name in applications)])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        try:
            found = Matchers.read(texts=[values.get("labels", "")], place="labels")
            if any(one.operator != "=" or len(one.texts) > 1 for one in found.all):
                raise Refused("an alert has one value of each label: write name=value", "labels")
        except Refused as error:
            self.refuse(error)
            return values
        given = {"severity": values.get("severity") or SEVERITIES[0], "application": values.get("application")}
        given |= {"environment": values.get("environment"), "check": values.get("check_name")}
        values["all"] = {one.name: one.texts[0] for one in found.all}
        values["all"] |= {name: value for name, value in given.items() if value}
        return values
