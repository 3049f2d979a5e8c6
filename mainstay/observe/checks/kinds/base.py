"""What every check type has in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, model_validator

from mainstay.foundation.environment import Environment
from mainstay.foundation.strict import StrictModel
from mainstay.foundation.words.text import one_sentence
from mainstay.observe.checks.probe.conditions import Condition, Observation, Placeholder, parse
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import NO_FACTS, Facts, Health, Outcome, Phases


def _valid_condition(text: str) -> str:
    parse(text)
    return text


ConditionText = Annotated[str, AfterValidator(_valid_condition)]
Text = Annotated[str, Field(max_length=65536)]


class ProbedSettings(StrictModel):
    """Settings of a kind that takes conditions."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME}
    )

    conditions: tuple[ConditionText, ...] = Field(
        default=(),
        max_length=50,
        description="Conditions that must all hold, in Gatus' language, e.g. `[RESPONSE_TIME] < 300`.",
    )

    @model_validator(mode="after")
    def _conditions_fit_the_kind(self) -> Self:
        for text in self.conditions:
            foreign = parse(text).asks - self.PLACEHOLDERS
            if foreign:
                asked = ", ".join(sorted(f"[{each.value}]" for each in foreign))
                known = " ".join(sorted(f"[{each.value}]" for each in self.PLACEHOLDERS))
                raise ValueError(
                    f"the condition {text!r} asks for {asked}, which this check type doesn't have; it has {known}"
                )
        return self

    def compiled_conditions(self) -> tuple[Condition, ...]:
        """The conditions, parsed (cached by text)."""
        return tuple(map(parse, self.conditions))


S = TypeVar("S", bound=BaseModel)


class Kind(ABC, Generic[S]):
    """A check type. Stateless: one instance serves every check."""

    name: ClassVar[str]
    label: ClassVar[str]
    passive: ClassVar[bool] = False
    """A passive kind waits for pings; nothing is probed."""
    Settings: ClassVar[type[BaseModel]]

    def refusal(self, environment: Environment) -> str:
        """Why checks of this kind cannot work here, and which setting would let them; "" when they can."""
        return ""

    @abstractmethod
    def target(self, settings: S) -> str:
        """What is watched, short, for people: a URL, `host:port`. Never holds a password."""

    @abstractmethod
    async def probe(self, settings: S, context: Context) -> Outcome:
        """Probe once. Returns DOWN with a message for whatever the peer does; raises only for a defect of ours."""


AnyKind = Kind[Any]


class Stopwatch:
    """Wall-clock start and monotonic duration of a probe."""

    __slots__ = ("_from", "started_at")

    def __init__(self) -> None:
        self.started_at = time.time()
        self._from = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._from

    def outcome(
        self,
        health: Health,
        message: str = "",
        *,
        phases: Phases | None = None,
        code: int | None = None,
        facts: Facts = NO_FACTS,
        duration_s: float | None = None,
    ) -> Outcome:
        """An outcome that began when the watch was made and ends now."""
        took_s = self.elapsed_s if duration_s is None else duration_s
        return Outcome(health, self.started_at, took_s, one_sentence(message), phases, code, facts)


def failing(conditions: Iterable[Condition], seen: Observation) -> str:
    """A sentence naming every condition that does not hold, with its resolved values; empty when all hold."""
    failed = [verdict.text for verdict in (condition.evaluate(seen) for condition in conditions) if not verdict.passed]
    if not failed:
        return ""
    if len(failed) == 1:
        return f"The condition {failed[0]} does not hold."
    return f"{len(failed)} conditions do not hold: {'; '.join(failed)}."


def expects_no_connection(conditions: Iterable[Condition], seen: Observation) -> bool:
    """Whether a failure to connect is what the conditions ask for: one names [CONNECTED], and all of them hold."""
    compiled = tuple(conditions)
    return any(Placeholder.CONNECTED in condition.asks for condition in compiled) and not failing(compiled, seen)
