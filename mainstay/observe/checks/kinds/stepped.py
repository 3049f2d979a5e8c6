"""Kinds that work in steps on asyncio: the steps do the talking, the frame around them does the rest.

The frame stamps times, ends the probe at its timeout naming the step it was stuck in, turns failures into one
sentence, and judges latency and conditions the same way for every kind.
"""

import asyncio
import importlib
import sys
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import Field

from mainstay.foundation.strict import StrictModel
from mainstay.foundation.words.durations import Duration, spoken_duration
from mainstay.net.connect import NetworkError, Stream, reason
from mainstay.observe.checks.kinds.base import Kind, ProbedSettings, Stopwatch, expects_no_connection, failing
from mainstay.observe.checks.probe.conditions import Observation
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import Fact, Health, Outcome, Phases, ProbeError


class LatencyExpect(StrictModel):
    """What must hold for the check to be up."""

    max_latency: Duration | None = Field(default=None, description="The whole probe may take this long.")


class LatencyWarn(StrictModel):
    """Softer limits: missing them makes the check degraded instead of down."""

    max_latency: Duration | None = Field(default=None, description="Slower than this is degraded.")


class SteppedSettings(ProbedSettings):
    """Settings with the limits that every kind has; kinds narrow `expect` and `warn` to their own."""

    expect: LatencyExpect = Field(default_factory=LatencyExpect, description="What must hold for the check to be up.")
    warn: LatencyWarn = Field(default_factory=LatencyWarn, description="Softer limits whose violation is degraded.")


@dataclass(slots=True)
class Steps:
    """What the steps have reached and seen so far."""

    watch: Stopwatch
    now: str = "resolving the name"
    """The step under way, for the message when time runs out."""
    connected: bool = False
    dns_s: float = 0.0
    connect_s: float = 0.0
    tls_s: float = 0.0
    first_byte_s: float = 0.0
    transfer_s: float = 0.0
    ip: str = ""
    code: int | None = None
    body: bytes = b""
    dns_rcode: str = ""
    certificate_expires_in_s: float = 0.0
    wrong: str = ""
    """Why the peer's answer is not what is expected; looked at after the steps."""
    warning: str = ""
    """Why the answer is only just good enough."""
    latency_s: float | None = None
    """What counts as latency when it is not the whole duration (the round-trip time of a ping)."""
    facts: dict[str, Fact] = field(default_factory=dict)

    def at(self, step: str) -> None:
        """Begin a step."""
        self.now = step

    def took(self, stream: Stream) -> None:
        """Take over what opening a connection told."""
        self.connected = True
        self.ip = stream.address
        self.dns_s, self.connect_s, self.tls_s = stream.dns_s, stream.connect_s, stream.tls_s

    def phases(self) -> Phases | None:
        parts = (self.dns_s, self.connect_s, self.tls_s, self.first_byte_s, self.transfer_s)
        return Phases(*parts) if any(parts) else None


S = TypeVar("S", bound=SteppedSettings)


async def load(module: str, context: Context) -> None:
    """Import what only checks of one kind want, and most have none of: in a thread, for the loop must stay on time."""
    if module not in sys.modules:
        await asyncio.get_running_loop().run_in_executor(context.threads, importlib.import_module, module)


class SteppedKind(Kind[S], Generic[S]):
    """A kind that implements `run`; messages are prefixed with the target by the frame."""

    @abstractmethod
    async def run(self, settings: S, context: Context, steps: Steps) -> None:
        """Talk to the peer, filling `steps`. Raises ProbeError (or OSError) when it can't go on."""

    async def probe(self, settings: S, context: Context) -> Outcome:
        watch = Stopwatch()
        steps = Steps(watch)
        message = ""
        try:
            async with asyncio.timeout(context.timeout_s):
                await self.run(settings, context, steps)
        except TimeoutError as error:
            # The system's own ETIMEDOUT is a TimeoutError, too.
            within = f"it did not finish within {spoken_duration(context.timeout_s)}, stuck at {steps.now}"
            message = f"{reason(error)} while {steps.now}" if error.errno else within
        except NetworkError as error:
            message = str(error)
            if isinstance(error, ProbeError) and error.code is not None:
                steps.code = error.code
        except OSError as error:
            message = f"{reason(error)} while {steps.now}"
        return self._concluded(settings, steps, message)

    def _concluded(self, settings: S, steps: Steps, message: str) -> Outcome:
        duration_s = steps.watch.elapsed_s
        latency_s = duration_s if steps.latency_s is None else steps.latency_s
        if steps.ip:
            steps.facts.setdefault("ip", steps.ip)
        conditions = settings.compiled_conditions()
        seen = Observation(
            connected=steps.connected,
            response_time_s=latency_s,
            status=steps.code or 0,
            ip=steps.ip,
            body=steps.body,
            certificate_expires_in_s=steps.certificate_expires_in_s,
            dns_rcode=steps.dns_rcode,
            now=time.time(),
        )
        health, text = Health.UP, ""
        if message or steps.wrong:
            health, text = Health.DOWN, f"{self.target(settings)}: {message or steps.wrong}"
            if not steps.connected and expects_no_connection(conditions, seen):
                health, text = Health.UP, ""
        elif settings.expect.max_latency is not None and latency_s > settings.expect.max_latency:
            allowed = spoken_duration(settings.expect.max_latency)
            health = Health.DOWN
            text = f"{self.target(settings)} took {spoken_duration(latency_s)}; at most {allowed} are allowed."
        elif violated := failing(conditions, seen):
            health, text = Health.DOWN, f"{self.target(settings)}: {violated}"
        elif steps.warning:
            health, text = Health.DEGRADED, f"{self.target(settings)}: {steps.warning}"
        elif settings.warn.max_latency is not None and latency_s > settings.warn.max_latency:
            slow = spoken_duration(settings.warn.max_latency)
            health = Health.DEGRADED
            text = f"{self.target(settings)} took {spoken_duration(latency_s)}; more than {slow} is slow."
        if text and not text.endswith("."):
            text += "."
        return steps.watch.outcome(
            health, text, phases=steps.phases(), code=steps.code, facts=steps.facts, duration_s=duration_s
        )
