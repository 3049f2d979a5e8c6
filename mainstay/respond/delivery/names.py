"""Addresses of receivers, found within the time that a send has.

libcurl joins its resolver thread when a transfer ends: behind a dead name server, a send of twenty seconds would hold
its lane for as long as the system's resolver goes on asking. Here a look-up that comes to nothing is left behind, in
the resolver of the checks: bounded, fair by zone, and once for all that want the same name.
"""

import queue
from functools import cache

from mainstay.observe.checks.probe.resolver import Resolution, Resolver


@cache
def _resolver() -> Resolver:
    return Resolver()


def look_up(host: str, within_s: float) -> Resolution:
    """Return the addresses of a name, or why there are none. Blocks."""
    found: queue.SimpleQueue[Resolution] = queue.SimpleQueue()
    ticket = _resolver().submit(host, 0, found.put)
    try:
        return found.get(timeout=within_s)
    except queue.Empty:
        ticket.give_up()
        return Resolution(host, (), within_s, f"the name server did not answer within {within_s:g} s")
