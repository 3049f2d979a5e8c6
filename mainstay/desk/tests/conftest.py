"""Fixtures of the tests of the whole desk."""

from collections.abc import Iterator

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from mainstay.desk.tests import desk


@pytest.fixture(scope="module")
def shared_desk(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[desk.Desk]:
    """A desk that tests of one file share, since making it takes longer than most of them. Each finds it as made.

    Not for tests that need its times to be those of this moment, nor for transactional ones.
    """
    around = transaction.atomic()
    with django_db_blocker.unblock():
        around.__enter__()
        found = desk.desk()
    yield found
    with django_db_blocker.unblock():
        transaction.set_rollback(True)
        around.__exit__(None, None, None)
