"""Contracts, and the calls that were made on them."""

from django.db import models

from mainstay.foundation.catalog.models import Application


class Contract(models.Model):
    """A support contract: who helps with an application from outside."""

    name = models.SlugField(max_length=100, unique=True)
    application = models.ForeignKey(Application, on_delete=models.SET_NULL, null=True, related_name="contracts")
    vendor = models.CharField(max_length=200)
    config = models.JSONField(default=dict)  # the PIN, sealed
    ends_at = models.DateTimeField(null=True)
    over = models.BooleanField(default=False)
    managed_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """Return the key of its look."""
        return "over" if self.over else "covered"


class Call(models.Model):
    """One call."""

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="calls")
    at = models.DateTimeField()
    by = models.CharField(max_length=200)
    note = models.CharField(max_length=500)
