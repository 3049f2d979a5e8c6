"""The examples of all resources as one file, for tests of what holds for each of them."""

from typing import Any

from mainstay.config.apply import Outcome, apply_text
from mainstay.config.resources import at_the_top, inside
from mainstay.foundation.accounts.actions import create_user
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.yaml.write import dump

FILE = "examples.yaml"


def examples() -> str:
    """Return the file."""
    whole: dict[str, Any] = {}
    for resource in at_the_top():
        items = [dict(one) for one in resource.examples]
        assert items, f"{resource.kind} has no example"
        items[0] |= {held.section: list(held.examples) for held in inside(resource.kind)}
        whole[resource.section] = items
    return dump(whole)


def apply_examples() -> Outcome:
    """Apply it, with the person whom it names."""
    create_user("lee@example.com", Role.SUPPORT, "Lee", COMMAND_LINE, now())
    return apply_text(examples(), FILE, COMMAND_LINE, now())
