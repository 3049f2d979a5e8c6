"""The file that is being applied, if one is: at most one at a time, so that each is planned on what the other did."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

CLAIMED = timedelta(seconds=60)  # longer than a file of the largest size takes to plan


def cut_off(now: datetime) -> Q:
    """What nobody carries out any more: its claim has run out, or was made by a clock that was set back since."""
    return Q(is_open=True) & (Q(claimed_until__lte=now) | Q(claimed_until__gt=now + 2 * CLAIMED))


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

    def is_cut_off(self, now: datetime) -> bool:
        """As `cut_off`, of this one."""
        return bool(self.is_open) and not now < self.claimed_until <= now + 2 * CLAIMED
