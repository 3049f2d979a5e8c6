"""Where this installation may connect: the address policy, from the environment."""

from mainstay.foundation.environment import Environment
from mainstay.observe.checks.probe.policy import AddressPolicy


def policy(environment: Environment) -> AddressPolicy:
    """Return the policy that MAINSTAY_TARGETS, _ALLOW and _DENY describe."""
    return AddressPolicy(
        environment.targets,
        environment.targets_allow,
        environment.targets_deny,
        called=("MAINSTAY_TARGETS", "MAINSTAY_TARGETS_ALLOW", "MAINSTAY_TARGETS_DENY"),
    )


class Connections:
    """The policy as delivery asks it: one address about to be connected to."""

    def __init__(self, rules: AddressPolicy) -> None:
        self._rules = rules

    def check(self, ip: str, host: str) -> str | None:
        """Return why `ip` (what `host` resolved to) is refused, or None."""
        refusal = self._rules.check_host(host) or self._rules.check_address(ip, host=host)
        return refusal.message if refusal else None
