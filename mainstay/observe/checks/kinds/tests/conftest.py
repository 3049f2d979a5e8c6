import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Resolver, system_lookup
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.kinds.tests.servers import Authority, new_authority
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import Outcome
from mainstay.observe.checks.probe.runner import run_to_deadline

Probe = Callable[..., Outcome]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return new_authority()


@pytest.fixture
def probe() -> Probe:
    """Probe once: `probe("http", {"url": …}, timeout_s=2, names={"shop.test": ["127.0.0.1"]})`."""

    def run(
        kind: str,
        settings: dict[str, Any],
        *,
        timeout_s: float = 5.0,
        policy: AddressPolicy | None = None,
        names: dict[str, list[str]] | None = None,
        commands_allowed: bool = False,
    ) -> Outcome:
        def lookup(host: str, family: int) -> list[str]:
            return names[host] if names is not None and host in names else system_lookup(host, family)

        found = KINDS[kind]
        threads = ThreadPoolExecutor(2, thread_name_prefix="probe-once")
        context = Context(timeout_s, policy or AddressPolicy(), Resolver(lookup), threads, commands_allowed)
        try:
            outcome = asyncio.run(run_to_deadline(found, found.Settings.model_validate(settings), context, set()))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
        assert outcome is not None, "nobody cancels the only probe"
        return outcome

    return run
