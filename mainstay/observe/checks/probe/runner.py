"""Probes of every kind but http: an asyncio loop in a thread of its own, with a hard end for each probe."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mainstay.foundation.processes.work import steps
from mainstay.foundation.words.durations import spoken_duration
from mainstay.foundation.words.text import one_sentence
from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Asking, Resolver
from mainstay.observe.checks.kinds.base import AnyKind
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import Health, Outcome

log = logging.getLogger(__name__)
BLOCKING_THREADS = 32
GUARD_S = 0.2
"""Kinds end themselves at their timeout and say where they were stuck; this much later they are ended."""


@dataclass(frozen=True, slots=True)
class Job:
    """One probe to run. `run_id` tells the receiver which one an outcome belongs to."""

    run_id: int
    kind: AnyKind
    settings: BaseModel
    timeout_s: float
    check: int = 0


class AsyncRunner:
    """Runs jobs; hands outcomes to `on_outcome(run_id, outcome)`, called in this runner's thread.

    An outcome of None: the probe was not made, for the name that it wants was never asked about.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        resolver: Resolver,
        on_outcome: Callable[[int, Outcome | None], None],
        *,
        commands_allowed: bool = False,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._on_outcome = on_outcome
        self._commands_allowed = commands_allowed
        self._threads = ThreadPoolExecutor(BLOCKING_THREADS, thread_name_prefix="probe-blocking")
        self._loop = asyncio.new_event_loop()
        self._supervisors: set[asyncio.Task[None]] = set()
        self._abandoned: set[asyncio.Task[Outcome]] = set()
        self._thread = threading.Thread(target=self._run, name="probe-async", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Start jobs; thread-safe, returns at once."""
        self._loop.call_soon_threadsafe(self._start, jobs)

    def stop(self, timeout_s: float) -> bool:
        """Cancel what runs and end the thread; False when it did not end in time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout_s)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            running = asyncio.all_tasks(self._loop)
            for task in running:
                task.cancel()
            if running:
                # Bounded: a probe that swallows its cancellation must not hold the shutdown.
                self._loop.run_until_complete(asyncio.wait(running, timeout=1.0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _start(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            task = self._loop.create_task(self._supervise(job))
            self._supervisors.add(task)
            task.add_done_callback(self._supervisors.discard)

    async def _supervise(self, job: Job) -> None:
        names = Asking(self._resolver)
        context = Context(job.timeout_s, self._policy, names, self._threads, self._commands_allowed)
        outcome = await run_to_deadline(job.kind, job.settings, context, self._abandoned, job.check)
        if outcome is None:
            return
        unmade = outcome.health is Health.DOWN and names.unasked
        self._on_outcome(job.run_id, None if unmade else outcome)


async def run_to_deadline(
    kind: AnyKind, settings: BaseModel, context: Context, abandoned: set[asyncio.Task[Outcome]], check: int = 0
) -> Outcome | None:
    """Probe, but never longer than `context.timeout_s` and `GUARD_S`, whatever the probe does; None when cancelled.

    The probe is cancelled at the deadline and not waited for: one that swallows the cancellation or is stuck in a
    thread delays nobody. `abandoned` keeps such tasks referenced until they end.
    """
    started_at, started = time.time(), time.perf_counter()
    task: asyncio.Task[Outcome] = asyncio.ensure_future(_marked(check, kind.probe(settings, context)))
    done, _ = await asyncio.wait({task}, timeout=context.timeout_s + GUARD_S)
    if not done:
        abandoned.add(task)
        task.add_done_callback(abandoned.discard)
        task.add_done_callback(_seen)
        task.cancel()
        message = f"{kind.target(settings)} did not finish within {spoken_duration(context.timeout_s)}."
        return Outcome(Health.DOWN, started_at, time.perf_counter() - started, one_sentence(message))
    if task.cancelled():
        return None
    defect = task.exception()
    if defect is not None:
        log.error("the check type %s failed on %s", kind.name, kind.target(settings), exc_info=defect)
        message = (
            f"{kind.target(settings)} could not be probed: "
            f"a defect in the check type {kind.name} ({type(defect).__name__})."
        )
        return Outcome(Health.DOWN, started_at, time.perf_counter() - started, one_sentence(message))
    return task.result()


async def _marked(check: int, probing: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Probe, marked in each step as what this thread works on; 0 is a try, which is nobody's."""
    return await (steps("check", check, probing) if check else probing)


def _seen(task: asyncio.Task[Outcome]) -> None:
    """Take the exception of an abandoned probe, so that asyncio doesn't report it as never retrieved."""
    if not task.cancelled():
        task.exception()
