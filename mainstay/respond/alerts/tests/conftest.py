"""A channel that hears of every alert."""

import pytest

from mainstay.foundation.accounts.actor import Actor
from mainstay.respond.alerts.tests.parts import channel, route
from mainstay.respond.delivery.models import Channel


@pytest.fixture
def ops(db: None, me: Actor) -> Channel:
    """A channel to which every alert goes."""
    made = channel("ops", me)
    route(me)
    return made


@pytest.fixture
def owed(transactional_db: None, me: Actor) -> Channel:
    """The same, for tests with several connections."""
    made = channel("ops", me)
    route(me)
    return made
