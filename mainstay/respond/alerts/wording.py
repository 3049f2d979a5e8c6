"""What an alert says when it is sent."""

from datetime import datetime

from django.conf import settings

from mainstay.foundation.journal.write import Subject
from mainstay.foundation.words.durations import write_span
from mainstay.respond.alerts.models import Alert
from mainstay.respond.delivery.message import ALERT, AlertPart, Event, Message


def subject(alert: Alert) -> Subject:
    """Return the alert as the journal names it."""
    return Subject("alert", alert.pk, alert.name, alert.application_id)


def thread(alert: Alert) -> str:
    """Return the dedup key: the same for all messages of one alert, different between instances of Mainstay."""
    return f"mainstay-{settings.INSTANCE}-alert-{alert.pk}"


def message(alert: Alert, event: Event, now: datetime, *, reason: str = "", actor: str = "") -> Message:
    """Return the message that tells of `event`."""
    url = f"{settings.BASE_URL}/alerts/{alert.pk}/"
    annotations = {**alert.annotations, **({"runbook": alert.runbook} if alert.runbook else {})}
    part = AlertPart(
        event=event,
        application=alert.labels.get("application", ""),
        environment=alert.environment,
        labels=alert.labels,
        annotations=annotations,
        ends_at=alert.ended_at,
        url=url,
        acknowledge_url=url if event in {Event.TRIGGER, Event.REMIND} else None,
        actor=actor,
    )
    return Message(
        kind=ALERT,
        title=alert.name,
        text=_text(alert, event, now),
        urgency=alert.severity,
        thread=thread(alert),
        at=alert.started_at,
        reason=reason,
        alert=part,
    )


def _text(alert: Alert, event: Event, now: datetime) -> str:
    lasted = write_span((alert.ended_at or now) - alert.started_at)
    if event is Event.RESOLVE:
        return f"It is over after {lasted}. It was: {alert.summary}" if alert.summary else f"It is over after {lasted}."
    if event is Event.REMIND:
        return f"Still so after {lasted}, and nobody has acknowledged it. {alert.summary}"
    if event is Event.ACKNOWLEDGE:
        return alert.note or alert.summary
    if alert.given_back_by and alert.paged_at is not None:
        return f"{alert.given_back_by} gave it back: nobody has it now. It has been so for {lasted}. {alert.summary}"
    return alert.summary
