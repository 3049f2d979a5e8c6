"""What every check type has in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from mainstay.net.policy import literal_address
from mainstay.observe.checks.probe.conditions import Condition, Observation, Placeholder, parse
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import NO_FACTS, Facts, Health, Outcome, Phases

LONGEST_MESSAGE = 500


def _valid_condition(text: str) -> str:
    parse(text)
    return text


def _valid_host(host: str) -> str:
    stripped = host.strip().removeprefix("[").removesuffix("]")
    if (
        not stripped
        or len(stripped) > 253
        or any(character.isspace() or character in "/@?#\\" for character in stripped)
    ):
        raise ValueError(
            f"{host!r} is no host: give a name such as db.example.com or an address, without scheme, port or path"
        )
    try:
        stripped.encode("idna")
    except UnicodeError:
        if literal_address(stripped) is None:
            raise ValueError(f"{host!r} is no internet name") from None
    if ":" in stripped and literal_address(stripped) is None:
        raise ValueError(f"{host!r} is no host: give the port in `port`")
    return stripped


Host = Annotated[str, AfterValidator(_valid_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
IPVersion = Annotated[int, Field(ge=4, le=6, multiple_of=2)]
ConditionText = Annotated[str, AfterValidator(_valid_condition)]
Text = Annotated[str, Field(max_length=65536)]


class KindSettings(BaseModel):
    """Base of all settings: unknown fields are refused, and a value can't change under a running probe."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class ProbedSettings(KindSettings):
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


def one_sentence(message: str) -> str:
    """The message on one line and of bounded length; peers' own words may be in it."""
    if not message:
        return ""
    flat = " ".join("".join(character if character.isprintable() else " " for character in message).split())
    return flat if len(flat) <= LONGEST_MESSAGE else f"{flat[: LONGEST_MESSAGE - 1]}…"


def host_port(host: str, port: int) -> str:
    """`db.example.com:5432`, `[::1]:5432`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
