"""An item that was set aside because it took its process with it: an alert, until it is worked on again."""

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on
from mainstay.foundation.processes import facts
from mainstay.respond.alerts.actions import Firing, fire, resolve
from mainstay.respond.alerts.models import Alert

SEVERITY = "critical"  # what it watches is not watched


@on(facts.SET_ASIDE)
def an_item_was_set_aside(entry: Entry) -> None:
    """Page: nobody works on it any more."""
    kind = entry.subject.partition(":")[0]
    application = Application.objects.filter(pk=entry.application).first() if entry.application else None
    labels = {"alertname": "MainstayItemSetAside", "kind": kind, "item": entry.subject_name, "severity": SEVERITY}
    if application is not None:
        labels["application"] = application.name
    firing = Firing(
        source=_source(entry),
        name=f"the {kind} {entry.subject_name} is set aside",
        severity=SEVERITY,
        summary=f"It took its process with it {entry.facts['deaths']} times and is not worked on until it is edited or"
        f" released: mainstay doctor --release {entry.subject}",
        labels=labels,
        application=application,
    )
    fire(firing, entry.at)


@on(facts.RELEASED)
def an_item_was_released(entry: Entry) -> None:
    """It is worked on again."""
    alert = Alert.objects.filter(source=_source(entry), ended_at=None).first()
    if alert is not None:
        resolve(alert, entry.facts["reason"], entry.at)


def _source(entry: Entry) -> str:
    return f"set-aside:{entry.subject}"
