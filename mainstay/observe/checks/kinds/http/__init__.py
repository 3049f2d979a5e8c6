"""The `http` check type: one request over a fresh connection, and what its answer must be."""

import asyncio
import time
from typing import ClassVar

import pycurl

from mainstay.net.addresses import shown_url
from mainstay.net.transfer import Handle
from mainstay.observe.checks.kinds.base import Kind
from mainstay.observe.checks.kinds.http.probe import Probe, ProbePlan
from mainstay.observe.checks.kinds.http.settings import HttpSettings
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import Outcome


class Http(Kind[HttpSettings]):
    """HTTP and HTTPS. The engine drives many transfers in one loop; `probe` drives a single one, in a thread."""

    name: ClassVar[str] = "http"
    label: ClassVar[str] = "HTTP request"
    Settings = HttpSettings

    def target(self, settings: HttpSettings) -> str:
        return shown_url(settings.url)

    async def probe(self, settings: HttpSettings, context: Context) -> Outcome:
        probe = Probe(ProbePlan(settings), context.policy, time.time(), time.perf_counter(), context.timeout_s)
        curl = Handle()
        loop = asyncio.get_running_loop()
        more = True
        while more:
            wanted = probe.resolve_next()
            if wanted is not None:
                probe.resolved(await context.resolver.resolve(*wanted))
            if probe.outcome is not None:
                break
            more = await loop.run_in_executor(context.threads, _perform, probe, curl)
        return await loop.run_in_executor(context.threads, probe.judge)


def _perform(probe: Probe, curl: Handle) -> bool:
    if not probe.begin(curl, probe.deadline - time.perf_counter()):
        return False
    try:
        curl.perform()
    except pycurl.error as error:
        number, detail = error.args
        return probe.finish(curl, number, detail, time.perf_counter())
    return probe.finish(curl, 0, "", time.perf_counter())
