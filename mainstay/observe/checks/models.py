"""Checks, their state, results, pings and maintenance windows."""

import uuid
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from mainstay.foundation.catalog.models import Application, Component, Environment
from mainstay.foundation.columns import LONGEST_S, MatchField, ObjectField, PairsField, SecondsField, WordField
from mainstay.foundation.secrets import LostKey, digest, seal, unseal
from mainstay.foundation.words.names import SEVERITIES

HEALTHS = frozenset({"unknown", "up", "degraded", "down"})


def sealed_key(key: uuid.UUID | None = None) -> str:
    """Return a ping key as it is stored, a new one by default: encrypted, since whoever has it can report."""
    return seal(str(key or uuid.uuid4()), settings.SECRET_KEY)


def key_digest(key: uuid.UUID) -> str:
    """Return by what the check of a ping key is found."""
    return digest(str(key))


class PingDigest(models.CharField):  # type: ignore[type-arg]
    """The digest of the ping key beside it, which pings are looked up by."""

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        if (key := model_instance.ping_key) is not None:
            setattr(model_instance, self.attname, key_digest(key))
        return super().pre_save(model_instance, add)

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class Check(models.Model):
    """Something that is tried at intervals (or, for a heartbeat, expected to report)."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="checks")
    environment = models.ForeignKey(Environment, on_delete=models.SET_NULL, null=True, blank=True)
    component = models.ForeignKey(Component, on_delete=models.SET_NULL, null=True, blank=True, related_name="checks")
    name = models.SlugField(max_length=100)
    kind = models.CharField(max_length=30)
    config = models.JSONField(default=dict)  # the kind's settings; secrets sealed
    target = models.CharField(max_length=500, blank=True)  # for people; holds no secret
    every_s = SecondsField(default=60, otherwise=LONGEST_S)
    timeout_s = SecondsField(default=10, otherwise=LONGEST_S)
    fail_after = models.PositiveSmallIntegerField(default=3)  # consecutive failures until down
    recover_after = models.PositiveSmallIntegerField(default=2)  # consecutive successes until up
    severity = WordField(max_length=20, default="major", words=frozenset(SEVERITIES), otherwise="major")
    labels = PairsField(default=dict, blank=True)
    runbook = models.CharField(max_length=500, blank=True)
    paused = models.BooleanField(default=False)
    managed_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    version = models.BigIntegerField(default=0)  # counts edits; the monitor reloads a check when it differs
    ping_sealed = models.TextField(default=sealed_key)  # the key in the address of a heartbeat, encrypted
    ping_digest = PingDigest(max_length=64, unique=True)
    needs = models.ManyToManyField("self", symmetrical=False, related_name="needed_by", blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "name"], name="check_name")]

    def __str__(self) -> str:
        return f"{self.application.name}/{self.name}"

    @property
    def ping_key(self) -> uuid.UUID | None:
        """The key in the address of a heartbeat; None when what is stored cannot be read."""
        with suppress(LostKey, ValueError):
            return uuid.UUID(unseal(self.ping_sealed, settings.SECRET_KEY))
        return None

    @property
    def passive(self) -> bool:
        """A passive check is not probed: it waits for pings."""
        return self.kind == "heartbeat"


class CheckState(models.Model):
    """What the results so far add up to. Only the monitor that holds the check's lease writes it.

    health: unknown → up | degraded | down, and between those, by `decide.observe`. Paused, maintenance and overdue
    are not stored: they follow from the check, the windows and the time (`decide.shown`).
    """

    check_ref = models.OneToOneField(Check, on_delete=models.CASCADE, primary_key=True, related_name="state")
    health = WordField(max_length=12, default="unknown", words=HEALTHS, otherwise="unknown")
    since = models.DateTimeField(null=True)  # of this health
    message = models.TextField(blank=True)  # why; empty while up
    failures = models.PositiveIntegerField(default=0)  # this and the next three: consecutive results
    answers = models.PositiveIntegerField(default=0)
    warnings = models.PositiveIntegerField(default=0)
    successes = models.PositiveIntegerField(default=0)
    history = models.BigIntegerField(default=0)  # of the last 20 results, a bit each: 1 = bad
    flapping = models.BooleanField(default=False)
    first_bad_at = models.DateTimeField(null=True)  # of the present run of bad results
    blocked_by = models.ForeignKey(
        Check, on_delete=models.SET_NULL, null=True, related_name="+"
    )  # down, needed by this
    unusable = models.TextField(blank=True, default="")  # why the monitor cannot probe it; empty: it can
    changes = models.BigIntegerField(default=0)  # counts changes of health; a stale writer's update finds no row
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    last_health = WordField(max_length=12, blank=True, words={"", *HEALTHS}, otherwise="")
    last_message = models.TextField(blank=True)
    last_duration_s = models.FloatField(null=True)
    last_code = models.IntegerField(null=True)
    last_facts = ObjectField(default=dict)
    # heartbeats
    due_at = models.DateTimeField(null=True, db_index=True)  # when to look: not pinged by then is a failure
    started_at = models.DateTimeField(null=True)  # of a run that has not ended
    pinged_at = models.DateTimeField(null=True)
    # How often it got its grace again after a gap, since the last ping or miss.
    second_chances = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        indexes = [models.Index(fields=["health"], name="state_health", condition=~Q(health="up"))]


class Result(models.Model):
    """One result of one check, kept for MAINSTAY_RESULTS_KEPT. Durations in seconds."""

    check_ref = models.ForeignKey(
        Check, on_delete=models.CASCADE, db_index=False, related_name="results", db_constraint=False
    )
    at = models.DateTimeField()
    health = WordField(max_length=8, words=HEALTHS, otherwise="unknown")
    duration_s = models.FloatField()
    dns_s = models.FloatField(null=True)
    connect_s = models.FloatField(null=True)
    tls_s = models.FloatField(null=True)
    first_byte_s = models.FloatField(null=True)
    transfer_s = models.FloatField(null=True)
    code = models.IntegerField(null=True)
    message = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["check_ref", "at"], name="result_check_at"),
            models.Index(fields=["at"], name="result_at"),  # for hourly figures and clean-up
        ]


class Hour(models.Model):
    """One hour of one check's results: counts and durations, kept 400 days."""

    check_ref = models.ForeignKey(
        Check, on_delete=models.CASCADE, db_index=False, related_name="hours", db_constraint=False
    )
    hour = models.DateTimeField()
    results = models.PositiveIntegerField(default=0)
    bad = models.PositiveIntegerField(default=0)
    duration_sum_s = models.FloatField(default=0)
    duration_max_s = models.FloatField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["check_ref", "hour"], name="hour_once")]


class Downtime(models.Model):
    """A stretch in which a check was not up, as the journal tells it; uptime is what these leave.

    Written in the transaction of the change.
    """

    check_ref = models.ForeignKey(Check, on_delete=models.CASCADE, related_name="downtimes")
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="downtimes")
    health = models.CharField(max_length=12)  # degraded or down
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["application", "ended_at"], name="downtime_application")]
        constraints = [
            models.UniqueConstraint(fields=["check_ref"], condition=Q(ended_at=None), name="downtime_open_once")
        ]


class Ping(models.Model):
    """One report of a heartbeat, as received."""

    check_ref = models.ForeignKey(
        Check, on_delete=models.CASCADE, db_index=False, related_name="pings", db_constraint=False
    )
    at = models.DateTimeField()
    kind = models.CharField(max_length=8)  # start, success, fail, log
    exit_status = models.SmallIntegerField(null=True)
    run = models.CharField(max_length=36, blank=True)  # ?rid=: pairs a start with its end when runs overlap
    source = models.CharField(max_length=64, blank=True)
    body = models.TextField(blank=True)
    duration_s = models.FloatField(null=True)  # since the matching start
    handled = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["check_ref", "id"], name="ping_check"),
            models.Index(fields=["id"], name="ping_unhandled", condition=Q(handled=False)),
        ]


class Maintenance(models.Model):
    """A window in which what it covers does not page: one-off, or recurring by cron in a zone."""

    name = models.CharField(max_length=200)
    application = models.ForeignKey(
        Application, on_delete=models.CASCADE, null=True, blank=True, related_name="maintenance"
    )
    match = MatchField(default=dict, blank=True)  # labels a check must have; empty: all checks
    starts_at = models.DateTimeField(null=True)  # one-off
    ends_at = models.DateTimeField(null=True)
    cron = models.CharField(max_length=100, blank=True)  # recurring: when it begins …
    duration_s = SecondsField(null=True)  # … and how long it lasts
    time_zone = models.CharField(max_length=64, default="UTC")
    cancelled_at = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    managed_by = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """Who works on a shard of the checks (`leases.py`): a process that beats, or nobody."""

    shard = models.PositiveSmallIntegerField(primary_key=True)
    holder = models.BigIntegerField(null=True)  # id of the process
