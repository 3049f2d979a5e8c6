"""Whose request is next: in fair turns, known callers before strangers, never all threads for one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mainstay.foundation.http.bodies import Refusal
from mainstay.foundation.http.turns import Caller, Turns

KIM, BOT, STRANGER, OTHER = Caller("kim", True), Caller("bot", True), Caller("192.0.2.7", False), Caller("::1", False)


def turns(threads: int = 8, *, each: int = 4, waiting: int = 200, wait_s: float = 5.0) -> Turns:
    return Turns(threads, each=each, waiting=waiting, wait_s=wait_s)


async def started(one: Turns, *callers: Caller) -> tuple[list[Caller], list["asyncio.Task[None]"]]:
    """Let callers ask, in this order; who has a place is in the list, now and later."""
    running: list[Caller] = []

    async def ask(caller: Caller) -> None:
        await one.take(caller)
        running.append(caller)

    tasks = [asyncio.create_task(ask(caller)) for caller in callers]
    await settled()
    return running, tasks


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(act: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(asyncio.wait_for(act(), 10))


def test_one_token_never_has_more_than_its_share_of_the_threads() -> None:
    async def act() -> None:
        one = turns()
        running, tasks = await started(one, *[BOT] * 50, KIM)
        assert (running.count(BOT), running.count(KIM)) == (4, 1)
        one.give(BOT)
        await settled()
        assert running.count(BOT) == 5, "its next request has the place that its last one gave back"
        for task in tasks:
            task.cancel()

    run(act)


def test_strangers_wait_behind_each_other_not_before_who_is_signed_in() -> None:
    async def act() -> None:
        one = turns(4, each=4)
        running, tasks = await started(one, *[STRANGER] * 9, *[OTHER] * 2)
        assert running == [STRANGER]
        more, others = await started(one, *[KIM] * 5)
        assert more == [KIM] * 3
        one.give(KIM)
        await settled()
        assert more == [KIM] * 4, "who is signed in goes first"
        one.give(STRANGER)
        await settled()
        assert running == [STRANGER] * 2
        one.give(STRANGER)
        await settled()
        assert running == [STRANGER, STRANGER, OTHER], "each stranger in turn"
        for task in [*tasks, *others]:
            task.cancel()

    run(act)


def test_there_is_always_a_place_for_signing_in() -> None:
    async def act() -> None:
        one = turns(4, each=4)
        running, tasks = await started(one, *[KIM] * 4, *[BOT] * 4, STRANGER)
        assert len(running) == 4
        assert STRANGER in running
        for task in tasks:
            task.cancel()

    run(act)


def test_beyond_what_may_wait_requests_are_refused_at_once() -> None:
    async def act() -> None:
        one = turns(2, each=1, waiting=4)
        _, tasks = await started(one, *[BOT] * 4)
        refused = [task.exception() for task in tasks if task.done() and task.exception()]
        assert [type(error) for error in refused] == [Refusal]
        assert refused[0].status == 503  # type: ignore[union-attr]
        assert refused[0].retry_after_s  # type: ignore[union-attr]
        _, more = await started(one, KIM)
        assert not more[0].done(), "another caller may still wait"
        for task in [*tasks, *more]:
            task.cancel()

    run(act)


def test_who_waits_too_long_is_refused_and_leaves_no_trace() -> None:
    async def act() -> None:
        one = turns(2, each=1, wait_s=0.02)
        await one.take(BOT)
        with pytest.raises(Refusal, match="running"):
            await one.take(BOT)
        one.give(BOT)
        await one.take(BOT)
        one.give(BOT)
        assert not one._running
        assert not any(one._queues.values())
        assert one._waiting == {True: 0, False: 0}

    run(act)


def test_a_request_that_is_given_up_takes_no_place() -> None:
    async def act() -> None:
        one = turns(2, each=1)
        await one.take(BOT)
        running, (waits,) = await started(one, BOT)
        waits.cancel()
        await settled()
        one.give(BOT)
        assert running == []
        await one.take(BOT)
        one.give(BOT)
        assert not one._running

    run(act)
