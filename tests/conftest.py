"""Fixtures of the tests that run the whole program."""

from collections.abc import Iterator

import pytest

from tests.parts import Receiver, Target


@pytest.fixture
def parts() -> Iterator[tuple[Target, Receiver]]:
    """A target to watch and a receiver of pages."""
    target, receiver = Target(), Receiver()
    target.start()
    receiver.start()
    yield target, receiver
    target.stop()
    receiver.stop()
