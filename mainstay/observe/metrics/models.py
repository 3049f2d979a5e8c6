"""Scrapes: which targets are asked for their metrics, and how."""

from django.db import models

from mainstay.foundation.catalog.models import Application, Environment
from mainstay.foundation.columns import PairsField


class Scrape(models.Model):
    """Targets that are scraped alike: one job. What is found and measured is not here, but in the metrics store."""

    name = models.SlugField(max_length=100, unique=True)  # the label `job`
    application = models.ForeignKey(
        Application, on_delete=models.SET_NULL, null=True, blank=True, related_name="scrapes"
    )
    environment = models.ForeignKey(Environment, on_delete=models.SET_NULL, null=True, blank=True)
    every_s = models.FloatField(default=15)
    timeout_s = models.FloatField(default=10)
    config = models.JSONField(default=dict)  # as `ScrapeSettings` has it; secrets sealed
    target = models.CharField(max_length=500, blank=True)  # for people; holds no secret
    labels = PairsField(default=dict, blank=True)  # of all its targets' series
    paused = models.BooleanField(default=False)
    managed_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    version = models.BigIntegerField(default=0)  # counts edits

    def __str__(self) -> str:
        return self.name
