"""Probing once, now, for somebody who is writing a check."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import BaseModel

from mainstay.foundation.api.collection import columns
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import from_unix
from mainstay.foundation.environment import Environment
from mainstay.foundation.refusal import Refused
from mainstay.net.policy import policy
from mainstay.net.resolver import shared
from mainstay.observe.checks.api.rows import Phases, TryResult
from mainstay.observe.checks.kinds import KINDS, AnyKind
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import Outcome
from mainstay.observe.checks.probe.runner import run_to_deadline
from mainstay.observe.checks.spec import Common

LONGEST_S = 30.0
AT_ONCE = 8
_places = threading.BoundedSemaphore(AT_ONCE)


def try_once(spec: Common, environment: Environment) -> dict[str, Any]:
    """Return what one probe of `spec` sees now, as a `TryResult`; from where the address policy lets it.

    Raises:
        Refused: the kind waits for pings and cannot be probed, or is switched off.
        Problem: 429, too many at once.
    """
    kind = KINDS[spec.kind]
    if kind.passive:
        raise Refused(f"a {spec.kind} waits for pings: there is nothing to try", spec.kind)
    if refusal := kind.refusal(environment):
        raise Refused(refusal, spec.kind)
    if not _places.acquire(blocking=False):
        raise Problem(429, f"{AT_ONCE} probes are being tried already. Try again.", headers={"Retry-After": "2"})
    threads = ThreadPoolExecutor(4, thread_name_prefix="try")
    try:
        context = Context(
            min(spec.timeout, LONGEST_S), policy(environment), shared(), threads, environment.commands_allowed
        )
        outcome = asyncio.run(_probe(kind, spec.settings, context))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        _places.release()
    if outcome is None:
        raise Problem(503, "The probe was cancelled. Try again.", headers={"Retry-After": "1"})
    return columns(
        outcome,
        TryResult,
        health=outcome.health.value,
        at=from_unix(outcome.started_at),
        phases=columns(outcome.phases, Phases) if outcome.phases else None,
        facts=dict(outcome.facts),
    )


async def _probe(kind: AnyKind, settings: BaseModel, context: Context) -> Outcome | None:
    abandoned: set[asyncio.Task[Outcome]] = set()
    return await run_to_deadline(kind, settings, context, abandoned)
