"""The `http` check type: one request over a fresh connection, and what its answer must be."""

import asyncio
import time
from typing import ClassVar

import pycurl

from mainstay.observe.checks.kinds.base import Kind
from mainstay.observe.checks.kinds.http.judge import shown_url
from mainstay.observe.checks.kinds.http.settings import HttpSettings
from mainstay.observe.checks.kinds.http.transfer import Plan, Transfer
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
        transfer = Transfer(Plan(settings), context.policy, time.time(), time.perf_counter(), context.timeout_s)
        curl = pycurl.Curl()
        loop = asyncio.get_running_loop()
        more = True
        while more:
            wanted = transfer.resolve_next()
            if wanted is not None:
                transfer.resolved(await context.resolver.resolve(*wanted))
            if transfer.outcome is not None:
                break
            more = await loop.run_in_executor(context.threads, _perform, transfer, curl)
        return await loop.run_in_executor(context.threads, transfer.judge)


def _perform(transfer: Transfer, curl: pycurl.Curl) -> bool:
    if not transfer.begin(curl, transfer.deadline - time.perf_counter()):
        return False
    try:
        curl.perform()
    except pycurl.error as error:
        number, detail = error.args
        return transfer.finish(curl, number, detail, time.perf_counter())
    return transfer.finish(curl, 0, "", time.perf_counter())
