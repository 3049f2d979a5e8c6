"""A receiver, a sender and the worker it belongs to."""

from collections.abc import Iterator

import pytest

from mainstay.respond.delivery.kinds.tests.receiver import Receiver
from mainstay.respond.delivery.sending.send import Sender
from mainstay.respond.delivery.tests.parts import PATIENCE_S, Anywhere, process


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender(Anywhere())
    yield made
    made.stop(PATIENCE_S)


@pytest.fixture
def worker(transactional_db: None) -> int:
    return process()
