"""What a probe may use, given to it by whoever runs it."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Resolution


class Names(Protocol):
    """What looks names up: a `Resolver`, or one probe's view of it."""

    async def resolve(self, host: str, family: int = 0) -> Resolution: ...


@dataclass(frozen=True, slots=True)
class Context:
    """`timeout_s` is the hard limit of the whole probe; the runner cuts it off there, but a probe that limits itself
    can say where it was stuck. `threads` is for libraries that block."""

    timeout_s: float
    policy: AddressPolicy
    resolver: Names
    threads: Executor
    commands_allowed: bool = False
