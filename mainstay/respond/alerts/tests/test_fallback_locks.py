"""Alerts of a group that fall back while others change them: on PostgreSQL neither waits for the other for ever."""

import threading

import pytest
from django.db import connection, transaction

from mainstay.foundation.clock import now as clock_now
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.wording import message, subject
from mainstay.respond.delivery.message import Event
from mainstay.respond.delivery.models import Delivery, Group, GroupMember
from mainstay.respond.delivery.outbox import owe
from mainstay.respond.delivery.sending.groups import gather
from mainstay.respond.delivery.tests.parts import channel, until
from tests.database import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]


def test_alerts_of_a_group_fall_back_in_the_order_in_which_all_lock_alerts() -> None:
    channel("http://127.0.0.1:1/", "dead")
    channel("http://127.0.0.1:1/", "spare")
    now = clock_now()
    for number, severity in enumerate([*["critical"] * 20, "minor", "major"]):
        alert = Alert.objects.create(source=f"check:{number}", name="down", severity=severity, started_at=now)
        owe(message(alert, Event.TRIGGER, now), ["dead"], subject(alert), now, fallback=["spare"])
    gather(now)
    minor, major = Alert.objects.exclude(severity="critical").order_by("pk")
    assert GroupMember.objects.count() == 2
    Group.objects.update(failing=True)
    locked = threading.Event()

    def changing() -> None:
        """Lock two alerts as whoever changes many does, with the fallback in between."""
        with transaction.atomic():
            Alert.objects.select_for_update().get(pk=minor.pk)
            locked.set()
            until(_somebody_waits, "the fallback waits for this one")
            Alert.objects.select_for_update().get(pk=major.pk)

    def falling_back() -> None:
        locked.wait(10)
        gather(clock_now())

    assert at_once(changing, falling_back) == [None, None]
    assert Delivery.objects.filter(channel_name="spare").count() == 2


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
