"""Applications, their environments and components, and what depends on what."""

from django.db import models
from django.db.models import F, Q

from mainstay.foundation.accounts.models import Team
from mainstay.foundation.columns import LinksField

TIERS = {"critical": "Critical", "important": "Important", "standard": "Standard"}


class Application(models.Model):
    """What is watched, supported and repaired; owned by a team."""

    name = models.SlugField(max_length=100, unique=True)
    tier = models.CharField(max_length=20, default="standard")
    description = models.TextField(blank=True)
    owner = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="applications")
    repository = models.CharField(max_length=500, blank=True)
    links = LinksField(default=list, blank=True)  # [{"label": str, "url": str}]
    managed_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Environment(models.Model):
    """One place where an application runs: production, staging."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="environments")
    name = models.SlugField(max_length=100)
    url = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "name"], name="environment_name")]

    def __str__(self) -> str:
        return self.name


class Component(models.Model):
    """A part of an application that can fail on its own: storefront, database, queue."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="components")
    name = models.SlugField(max_length=100)
    description = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "name"], name="component_name")]

    def __str__(self) -> str:
        return f"{self.application.name}/{self.name}"


class Dependency(models.Model):
    """`component` cannot work when `needs` does not. The whole is free of cycles (`actions.depend`)."""

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="dependencies")
    needs = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="dependents")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["component", "needs"], name="dependency_once"),
            models.CheckConstraint(condition=~Q(component=F("needs")), name="dependency_not_on_itself"),
        ]
