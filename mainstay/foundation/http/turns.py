"""Whose request is next: threads are few, and no caller may take all of them.

A caller whose sign-in or token was found good goes before strangers, and each caller in turn; whoever sends many
requests waits behind their own. All of it happens on the event loop, so that waiting costs no thread.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from typing import NamedTuple

from mainstay.foundation.http.bodies import Refusal


class Caller(NamedTuple):
    """Who asks: a number or address that stands for them, and whether they were found good before."""

    key: object
    known: bool


class Turns:
    """Gives out `threads` places.

    Args:
        threads: how many requests run at once.
        each: how many of one caller.
        waiting: how many requests may wait, of strangers and of known callers each; half of them of one caller.
        wait_s: for how long.
    """

    def __init__(self, threads: int, *, each: int, waiting: int, wait_s: float) -> None:
        self._threads, self._each, self._most, self._wait_s = threads, each, waiting, wait_s
        self._running: Counter[Caller] = Counter()
        self._kind = {True: 0, False: 0}  # how many run: of known callers, of strangers
        # One place stays for signing in; few are in reach of whoever has not: all threads share one interpreter.
        self._kind_most = {True: max(1, threads - 1), False: max(1, threads // 4)}
        self._queues: dict[bool, OrderedDict[Caller, deque[asyncio.Future[None]]]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._waiting = {True: 0, False: 0}

    async def take(self, caller: Caller) -> None:
        """Wait for a place; to be given back by `give`.

        Raises:
            Refusal: too many wait already, or none became free in time.
        """
        queues = self._queues[caller.known]
        if caller not in queues and self._fits(caller):
            self._begin(caller)
            return
        mine = queues.setdefault(caller, deque())
        if self._waiting[caller.known] >= self._most or len(mine) >= max(1, self._most // 2):
            if not mine:
                del queues[caller]
            raise Refusal(503, "Too many requests are waiting already; try again in a moment.", 1)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        mine.append(place)
        self._waiting[caller.known] += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():  # given in the same moment
                self.give(caller)
            else:
                self._forget(caller, place)
            if isinstance(error, TimeoutError):
                raise Refusal(503, "Too many requests are running; try again in a moment.", 5) from None
            raise

    def give(self, caller: Caller) -> None:
        """Give a place back: the next caller has it."""
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        self._kind[caller.known] -= 1
        while (found := self._next()) is not None:
            place = self._queues[found.known][found].popleft()
            self._waiting[found.known] -= 1
            if self._queues[found.known][found]:
                self._queues[found.known].move_to_end(found)
            else:
                del self._queues[found.known][found]
            if not place.done():
                self._begin(found)
                place.set_result(None)

    def _next(self) -> Caller | None:
        for known in (True, False):
            for caller in self._queues[known]:
                if self._fits(caller):
                    return caller
        return None

    def _fits(self, caller: Caller) -> bool:
        return (
            self._kind[True] + self._kind[False] < self._threads
            and self._kind[caller.known] < self._kind_most[caller.known]
            and self._running[caller] < self._each
        )

    def _begin(self, caller: Caller) -> None:
        self._running[caller] += 1
        self._kind[caller.known] += 1

    def _forget(self, caller: Caller, place: "asyncio.Future[None]") -> None:
        mine = self._queues[caller.known].get(caller)
        if mine is None or place not in mine:
            return
        mine.remove(place)
        self._waiting[caller.known] -= 1
        if not mine:
            del self._queues[caller.known][caller]
