"""A scrape as people write it: the same in a file, in the API and in the form.

{name: node, targets: ["10.0.0.5:9100"], every: 15s}

An entry of Prometheus' `scrape_configs` is one, too: see `scrape/settings.py`. No NumPy here: web and worker read this.
"""

from typing import Any, Self

from pydantic import Field, model_validator

from mainstay.foundation.strict import StrictModel
from mainstay.foundation.words.durations import Duration, format_duration
from mainstay.foundation.words.names import Name
from mainstay.observe.metrics.scrape.settings import Labels, ScrapeSettings

EVERY_LEAST_S, EVERY_MOST_S = 1.0, 86_400.0
TIMEOUT_LEAST_S = 0.1
DEFAULT_EVERY_S, DEFAULT_TIMEOUT_S = 15.0, 10.0
SECRETS = ("password", "bearer", "client_key", "secret_params", "secret_headers")
"""Fields that hold secrets; a test holds them against the model."""


class _Named(StrictModel):
    """What a scrape has besides its settings. Apart, so that these fields come first."""

    name: Name = Field(description="Unique; letters, digits, - and _. The label `job` of its series.")
    application: Name | None = Field(
        default=None, description="The application that is measured; a label of its series."
    )
    environment: Name | None = Field(
        default=None, description="Where the application runs that is measured; a label of its series."
    )
    every: Duration = Field(
        default=DEFAULT_EVERY_S, ge=EVERY_LEAST_S, le=EVERY_MOST_S, description="Interval, 1s to 1d."
    )
    timeout: Duration | None = Field(
        default=None, ge=TIMEOUT_LEAST_S, description="Hard limit of one scrape; 10s, or `every` if that is shorter."
    )
    labels: Labels = Field(default_factory=dict, description="Labels of all its targets' series.")
    paused: bool = Field(default=False, description="Nothing is scraped; its series end.")


class ScrapeSpec(ScrapeSettings, _Named):
    """One scrape as people write it."""

    @model_validator(mode="after")
    def _times_and_places_fit(self) -> Self:
        if self.timeout is not None and self.timeout > self.every:
            raise ValueError(
                f"`timeout` ({format_duration(self.timeout)}) is longer than `every` ({format_duration(self.every)})"
            )
        if self.environment is not None and self.application is None:
            raise ValueError("`environment` needs `application`")
        return self

    @property
    def timeout_s(self) -> float:
        """The timeout that holds, in seconds."""
        return self.timeout if self.timeout is not None else default_timeout_s(self.every)

    @property
    def target(self) -> str:
        """Where its targets are found, for people."""
        parts = [address for group in self.targets for address in group.targets]
        parts += self.file
        parts += [f"{name} ({each.type})" for each in self.dns for name in each.names]
        shown = ", ".join(parts[:3])
        return (shown if len(parts) <= 3 else f"{shown} and {len(parts) - 3} more")[:500]


def default_timeout_s(every_s: float) -> float:
    """Return the timeout of a scrape that names none."""
    return min(DEFAULT_TIMEOUT_S, every_s)


def short(document: dict[str, Any]) -> dict[str, Any]:
    """Return a dumped scrape as people would write it: one group without labels is a list of addresses, and so on."""
    out = dict(document)
    groups = out.get("targets")
    if isinstance(groups, list) and len(groups) == 1 and isinstance(groups[0], dict) and not groups[0].get("labels"):
        out["targets"] = groups[0].get("targets", [])
    for name in ("file", "dns"):
        listed = out.get(name)
        if isinstance(listed, list) and len(listed) == 1:
            out[name] = listed[0]
    return out
