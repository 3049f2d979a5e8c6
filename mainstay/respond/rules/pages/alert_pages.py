"""What the pages of alerts show of those that rules have raised."""

from collections.abc import Sequence

from django.urls import reverse

from mainstay.kit.scales import quantity
from mainstay.observe.metrics.durations import written
from mainstay.observe.metrics.pages import units
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.origins import Fact, Shown
from mainstay.respond.rules.alerting import rule_of
from mainstay.respond.rules.models import Rule
from mainstay.respond.rules.pages.comparison import comparison


def link(alert: Alert) -> str:
    """Return the page of the rule."""
    number = rule_of(alert.source)
    return reverse("rule", args=[number]) if number is not None else reverse("rules")


def chart(alert: Alert) -> str:
    """Return the fragment that draws the rule's value around the alert."""
    return reverse("alert_course", args=[alert.pk])


def facts(alert: Alert) -> Sequence[Fact]:
    """Return the rule, its condition and its value; what is still known when the rule is gone."""
    rule = Rule.objects.select_related("group").filter(pk=rule_of(alert.source) or 0).first()
    if rule is None:
        name = alert.labels.get("alertname", "")
        return [Fact("Rule", f"{name}, which is not there any more" if name else "not there any more")]
    watched = comparison(rule.expr)
    unit = units.of(watched.left if watched is not None else rule.expr)
    found = [Fact("Rule", f"{rule.group.name} / {rule.name}", link(alert))]
    if alert.value is not None:
        over = "Last value" if alert.ended_at is not None else "Value"
        found.append(Fact(over, quantity(alert.value * unit.factor, unit.shown)))
    if rule.for_s:
        found.append(Fact("Held for", f"at least {written(rule.for_s)}"))
    return found


SHOWN = Shown(link=link, chart=chart, facts=facts)
