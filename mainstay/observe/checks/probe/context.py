"""What a probe may use, given to it by whoever runs it."""

from concurrent.futures import Executor
from dataclasses import dataclass

from mainstay.net.connect import Names
from mainstay.net.policy import AddressPolicy


@dataclass(frozen=True, slots=True)
class Context:
    """`timeout_s` is the hard limit of the whole probe; the runner cuts it off there, but a probe that limits itself
    can say where it was stuck. `threads` is for libraries that block."""

    timeout_s: float
    policy: AddressPolicy
    resolver: Names
    threads: Executor
    commands_allowed: bool = False
