"""Rules as people write them: the format of Prometheus' rule files, in a file, in the API and in the form."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from mainstay.foundation.words.durations import SECONDS_PER_UNIT, Duration

RULES_MOST = 5_000


def _as_prometheus_writes(value: object) -> object:
    """Prometheus knows years, which our durations do not."""
    if isinstance(value, str) and value.endswith("y") and value[:-1].isdecimal():
        return float(value[:-1]) * 365 * SECONDS_PER_UNIT["d"]
    return value


Span = Annotated[Duration, BeforeValidator(_as_prometheus_writes)]
Text = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]
Texts = Annotated[dict[Annotated[str, StringConstraints(max_length=200)], Text], Field(max_length=64)]
Title = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
]


class RuleSpec(BaseModel):
    """An alerting rule (`alert`) or a recording rule (`record`)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    alert: Title | None = Field(default=None, description="Name of the alert.", examples=["ErrorRate"])
    record: Title | None = Field(default=None, description="Name of the series to record.")
    expr: Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[^\x00]*$")] = Field(
        description="PromQL. An alert fires for each series that it gives.", examples=["up == 0"]
    )
    for_: Span = Field(default=0.0, alias="for", description="How long it must hold before the alert fires.")
    keep_firing_for: Span = Field(default=0.0, description="How long the alert fires on when it no longer holds.")
    labels: Texts = Field(
        default_factory=dict, description="Added to those of the series; `severity` and `application` mean something."
    )
    annotations: Texts = Field(
        default_factory=dict,
        description="summary, description, cause, first_step, runbook_url …; templates as in Prometheus.",
    )

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_texts(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("expr"), int | float) and given["expr"] is not True:
            return {**given, "expr": str(given["expr"])}  # expr: 1 is valid in a rule file
        return given

    @model_validator(mode="after")
    def _one_kind(self) -> "RuleSpec":
        if (self.alert is None) == (self.record is None):
            raise ValueError("give either alert or record: a rule raises alerts or records a series")
        if self.record is not None and (self.for_ or self.keep_firing_for or self.annotations):
            raise ValueError("for, keep_firing_for and annotations belong to alerts, not to record")
        return self

    @property
    def name(self) -> str:
        """Name of the alert or of the series recorded."""
        return self.alert or self.record or ""


class RuleGroupSpec(BaseModel):
    """Rules that are evaluated together, one after another."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    name: Title = Field(description="Unique.", examples=["shop"])
    interval: Span | None = Field(default=None, ge=1, description="How often; without it every 15 s.")
    limit: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=0, description="Series that a rule may give at most; beyond it the rule errs. 0: any number."
    )
    query_offset: Span = Field(default=0.0, description="Evaluate so far in the past, for samples that come late.")
    labels: Texts = Field(default_factory=dict, description="Added to every rule's labels.")
    rules: Annotated[list[RuleSpec], Field(min_length=1, max_length=RULES_MOST)]
