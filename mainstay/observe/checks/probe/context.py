"""What a probe may use, given to it by whoever runs it."""

from concurrent.futures import Executor
from dataclasses import dataclass

from mainstay.observe.checks.probe.policy import AddressPolicy
from mainstay.observe.checks.probe.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Context:
    """`timeout_s` is the hard limit of the whole probe; the runner cuts it off there, but a probe that limits itself
    can say where it was stuck. `threads` is for libraries that block."""

    timeout_s: float
    policy: AddressPolicy
    resolver: Resolver
    threads: Executor
    commands_allowed: bool = False
