from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mainstay.net.policy import AddressPolicy
from mainstay.observe.checks.kinds.tests.servers import Authority, new_authority
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.tests.parts import RecordingStore


@pytest.fixture(scope="session")
def authority() -> Authority:
    return new_authority()


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


@pytest.fixture
def scraper(store: RecordingStore) -> Iterator[Callable[..., Scraper]]:
    """Makes started scrapers and stops them in the end."""
    made: list[Scraper] = []

    def make(**options: Any) -> Scraper:
        engine = Scraper(options.pop("policy", None) or AddressPolicy(), options.pop("store", store), **options)
        engine.start()
        made.append(engine)
        return engine

    yield make
    for engine in made:
        assert engine.stop(3.0), "the engine must end"
