"""Rules in groups, how they are, and the instances of alerts that they have raised."""

import math
from datetime import datetime
from typing import Any

from django.db import models

from mainstay.foundation.clock import from_unix
from mainstay.foundation.columns import PairsField, SecondsField, WordField

DEFAULT_EVERY_S = 15.0
_MS_MOST = 253_402_300_800_000  # the year 10000


class RuleGroup(models.Model):
    """Rules that are evaluated together, one after another, as a Prometheus rule file has them."""

    name = models.CharField(max_length=200, unique=True)
    every_s = SecondsField(null=True)  # null: `DEFAULT_EVERY_S`; see `interval_s`
    limit = models.PositiveIntegerField(default=0)  # series a rule may give; 0: any number
    query_offset_s = models.FloatField(default=0)
    labels = PairsField(default=dict)  # added to every rule's
    managed_by = models.CharField(max_length=200, blank=True)
    version = models.BigIntegerField(default=0)  # counts edits; the monitor reloads a group when it differs
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def interval_s(self) -> float:
        """How often it is evaluated."""
        return self.every_s or DEFAULT_EVERY_S


class Rule(models.Model):
    """One alerting or recording rule."""

    group = models.ForeignKey(RuleGroup, on_delete=models.CASCADE, related_name="rules")
    position = models.PositiveIntegerField()
    alerts = models.BooleanField()  # an alerting rule; else it records
    name = models.CharField(max_length=200)  # of the alert, or of the series recorded
    expr = models.TextField()
    for_s = models.FloatField(default=0)
    keep_firing_for_s = models.FloatField(default=0)
    labels = PairsField(default=dict)
    annotations = PairsField(default=dict)

    class Meta:
        ordering = ["group", "position", "id"]

    def __str__(self) -> str:
        return self.name


class RuleState(models.Model):
    """How a rule's last evaluation went. Only the monitor that evaluates it writes; a row may be seconds old."""

    rule = models.OneToOneField(Rule, on_delete=models.CASCADE, primary_key=True, related_name="state")
    health = models.CharField(max_length=12, default="unknown")  # ok, no_series, unknown, err
    reason = models.TextField(blank=True)
    since = models.DateTimeField(null=True)  # of this health
    evaluated_at = models.DateTimeField(null=True)
    duration_s = models.FloatField(null=True)
    results = models.PositiveIntegerField(default=0)  # series that the expression gave


class Instance(models.Model):
    """An alert of a rule for one label set: pending, firing, or kept firing. What is over has no row."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="instances")
    fingerprint = models.CharField(max_length=40)
    state = WordField(max_length=10, words={"pending", "firing"}, otherwise="pending")
    kept = models.JSONField()  # the whole instance, as `state.Instance.document` writes it
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "fingerprint"], name="instance_once")]
        indexes = [models.Index(fields=["state"], name="instance_state")]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the alert."""
        return self._pairs("labels")

    @property
    def annotations(self) -> dict[str, str]:
        """What the rule says of it, rendered."""
        return self._pairs("annotations")

    @property
    def value(self) -> float | None:
        """What the expression gave when the instance last changed; None for NaN and infinities."""
        value = self.any_value
        return value if math.isfinite(value) else None

    @property
    def any_value(self) -> float:
        """The same, with infinities, and NaN also for what is none."""
        try:
            return float(self._kept["value"])
        except (KeyError, TypeError, ValueError):
            return math.nan

    @property
    def since(self) -> datetime:
        """Since when the condition holds."""
        at = self._kept.get("active_at_ms")
        return from_unix(at / 1000) if isinstance(at, int) and 0 <= at < _MS_MOST else self.changed_at

    @property
    def _kept(self) -> dict[str, Any]:
        return self.kept if isinstance(self.kept, dict) else {}

    def _pairs(self, name: str) -> dict[str, str]:
        found = self._kept.get(name)
        return {key: text for key, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}
