"""Alerts, silences, routes."""

from datetime import datetime
from typing import Literal

from django.db import models
from django.db.models import Q, Value

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.columns import MatchField, NamesField, ObjectField, PairsField, SecondsField
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks.models import Check


class Alert(models.Model):
    """Something is wrong since `started_at`, until `ended_at`. At most one is open per source."""

    source = models.CharField(max_length=80)  # "check:12", "rule:3:5f0c…"
    check_ref = models.ForeignKey(Check, on_delete=models.SET_NULL, null=True, related_name="alerts")
    application = models.ForeignKey(Application, on_delete=models.SET_NULL, null=True, related_name="alerts")
    environment = models.CharField(max_length=100, blank=True)
    name = models.CharField(max_length=300)
    severity = models.CharField(max_length=20)
    summary = models.TextField(blank=True)
    labels = PairsField(default=dict)
    annotations = PairsField(
        default=dict, db_default=Value({}, models.JSONField())
    )  # what a rule says besides: description, cause, first_step …
    value = models.FloatField(null=True)  # of the rule's expression when it fired or was last told
    runbook = models.CharField(max_length=500, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)
    # Who gave it back, until those who were told that it was taken are told so.
    given_back_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    # paging
    paged_at = models.DateTimeField(null=True)  # last page or reminder
    paged_severity = models.CharField(max_length=20, blank=True)
    paged_channels = NamesField(default=list)  # names; who is told of acknowledgement and resolution
    decision = models.CharField(max_length=40, blank=True)  # code of the last decision …
    reason = models.TextField(blank=True)  # … and its sentence
    look_at = models.DateTimeField(null=True)  # when the worker decides again; null: nothing is due
    held_by = models.BigIntegerField(null=True)  # id of what its source needs and that keeps it from paging: a check

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source"], condition=Q(ended_at=None), name="alert_open_once")]
        indexes = [
            models.Index(fields=["look_at"], name="alert_look", condition=Q(look_at__isnull=False)),
            models.Index(fields=["held_by"], name="alert_held_by", condition=Q(held_by__isnull=False)),
            models.Index(fields=["application", "id"], name="alert_application"),
            models.Index(fields=["-started_at", "-id"], name="alert_started"),
            models.Index(fields=["severity", "-id"], name="alert_open", condition=Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """firing, acknowledged or resolved. (Silenced depends on the time: `decide.silenced_by`.)"""
        if self.ended_at is not None:
            return "resolved"
        return "acknowledged" if self.acknowledged_at is not None else "firing"


class Silence(models.Model):
    """From `starts_at` to `ends_at`, alerts that match do not page. They are still recorded."""

    match = MatchField()  # see `matching.Matchers.stored`; so are all columns of this name
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    comment = models.TextField()
    ticket = models.CharField(max_length=200, blank=True, default="", db_default="")  # its number or URL
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return Matchers.of(self.match).write() or "everything"

    @property
    def told(self) -> str:
        """What it says to people, on one line."""
        return f"{self.comment} ({self.ticket})" if self.ticket else self.comment

    def state(self, at: datetime) -> Literal["active", "pending", "ended"]:
        """Return whether it holds at a time. One whose times cannot be read holds never."""
        try:
            return "ended" if self.ends_at <= at else "active" if self.starts_at <= at else "pending"
        except TypeError:
            return "ended"


class Route(models.Model):
    """Who is told of which alerts. Routes are tried in order; the first that matches decides, unless `also`."""

    position = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=100, unique=True)
    match = MatchField(default=dict)  # of severity, application, environment, check, labels
    notify = NamesField(default=list)  # receivers: names of channels, or "word:name"
    fallback = NamesField(default=list)  # receivers, tried one after another while one of `notify` does not answer
    remind_every_s = SecondsField(null=True)
    times = ObjectField(default=dict)  # {"days": ["mon", …], "from": "08:00", "to": "18:00", "timezone": "UTC"}
    also = models.BooleanField(default=False)  # go on to the next route after this one matched
    managed_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name
