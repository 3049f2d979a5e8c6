from collections.abc import Callable
from typing import Any

import pytest

from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Resolver, system_lookup
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.kinds.tests.servers import Authority, new_authority
from mainstay.observe.checks.probe.outcome import Outcome
from mainstay.observe.checks.probe.runner import probe_once

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
        return probe_once(
            found,
            found.Settings.model_validate(settings),
            policy=policy or AddressPolicy(),
            timeout_s=timeout_s,
            resolver=Resolver(lookup),
            commands_allowed=commands_allowed,
        )

    return run
