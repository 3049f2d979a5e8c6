"""Times and keys that a hand wrote into SQLite and that are none: they cost only their row."""

import pytest
from django.conf import settings
from django.db import connection

from mainstay.config.apply import plan_text
from mainstay.config.tests.examples import FILE, apply_examples, examples
from mainstay.desk.tests.browser import page, signed_in
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.respond.alerts.actions import silence
from mainstay.respond.alerts.models import Silence
from mainstay.respond.alerts.spec import SilenceSpec
from mainstay.respond.alerts.surroundings import silences

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("sqlite3" not in settings.DATABASES["default"]["ENGINE"], reason="PostgreSQL stores no such"),
]
NO_TIMES = ("2026-13-45 99:00:00", "2026-02-30", "25:61", "garbage", "", "0000-00-00 00:00:00")


def write(table: str, column: str, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s", [text])  # names are ours


@pytest.fixture
def silenced() -> Silence:
    apply_examples()
    spec = SilenceSpec.model_validate({"match": {"application": "shop"}, "comment": "#212", "duration": "2h"})
    return silence(spec, COMMAND_LINE, now())


@pytest.mark.parametrize("text", NO_TIMES)
def test_a_time_that_is_none_is_read_as_nothing(silenced: Silence, text: str) -> None:
    write("alerts_silence", "ends_at", text)
    write("checks_maintenance", "starts_at", text)
    write("catalog_application", "created_at", text)
    assert [row.ends_at for row in Silence.objects.all()] == [None]
    assert silences(now()) == []
    assert [row.starts_at for row in Maintenance.objects.all()] == [None]
    assert Application.objects.values_list("created_at", flat=True)[0] is None
    client = signed_in()
    for address in ("/", "/silences/", "/maintenance/", "/alerts/", "/applications/", "/applications/shop/"):
        assert "failed and is missing" not in page(client, address)


def test_a_key_that_is_none_keeps_nobody_from_the_others() -> None:
    apply_examples()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE checks_check SET ping_sealed = 'no key ' || id")
    assert {row.ping_key for row in Check.objects.all()} == {None}
    assert plan_text(examples(), FILE, COMMAND_LINE, now()).changes_nothing
    assert "storefront" in page(signed_in(), "/checks/")
