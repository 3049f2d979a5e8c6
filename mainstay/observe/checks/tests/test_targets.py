"""The address policy as the environment describes it: what may be written there is what the policy takes."""

from hypothesis import example, given
from hypothesis import strategies as st

from mainstay.foundation.environment import BadEnvironment, read
from mainstay.net.policy import policy

entries = st.text(st.sampled_from("0123456789abxf.:/*?-[]% \t_é１"), max_size=24) | st.text(max_size=12)


@given(entries)
@example("[::1]")
@example("10.0.0.1/")
@example("*")
def test_whatever_the_environment_takes_the_policy_takes(entry: str) -> None:
    for name in ("MAINSTAY_TARGETS_ALLOW", "MAINSTAY_TARGETS_DENY"):
        try:
            environment = read({name: entry})
        except BadEnvironment:
            continue
        found = policy(environment)
        assert (*found.allow, *found.deny) == (*environment.targets_allow, *environment.targets_deny)
