"""The file that is being applied, if one is: at most one at a time, so that each is planned on what the other did."""

from django.db import models


class Applying(models.Model):
    """A file that is being applied, was cut off, or was stopped by a refusal. Gone once it is done."""

    is_open = models.BooleanField(null=True, unique=True, default=True)  # null when stopped: NULLs are not compared
    claim = models.CharField(max_length=32)  # of whoever carries it out
    claimed_until = models.DateTimeField()
    started_at = models.DateTimeField()
    file = models.CharField(max_length=300)
    managed_as = models.CharField(max_length=200, blank=True)
    actor = models.CharField(max_length=100)
    actor_name = models.CharField(max_length=200)
    source = models.TextField(blank=True)  # text and values of variables, sealed; empty while it is planned
    total = models.IntegerField(default=0)
    done = models.IntegerField(default=0)
    stopped = models.TextField(blank=True)  # why
