"""Which server pages ask for metrics when monitors run on several hosts, and why there may be none."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client as Browser

from mainstay.foundation.accounts.actions import create_user
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.processes.models import Process
from mainstay.observe.checks.models import Lease
from mainstay.observe.metrics import servers
from mainstay.observe.metrics.client import Client, MetricsAway, Server
from mainstay.observe.metrics.servers import Keeper, keeper

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OWN = Server("http://127.0.0.1:8001/prometheus")


def held(host: str, listens: Any) -> None:
    process = Process.objects.create(
        role="monitor", host=host, pid=1, boot="", started_at=NOON, beat_at=NOON, detail={"listens": listens}
    )
    Lease.objects.create(shard=0, holder=process.pk)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("host", "listens", "url"),
    [
        ("here", ["127.0.0.1", 9001], "http://127.0.0.1:9001/prometheus"),
        ("here", ["0.0.0.0", 9001], "http://127.0.0.1:9001/prometheus"),
        ("there", ["0.0.0.0", 9001], "http://there:9001/prometheus"),
        ("there", ["::", 9001], "http://there:9001/prometheus"),
        ("there", ["10.0.0.7", 9001], "http://10.0.0.7:9001/prometheus"),
        ("there", ["fd00::7", 9001], "http://[fd00::7]:9001/prometheus"),
        ("there", None, OWN.url),
        ("there", ["x"], OWN.url),
    ],
)
def test_the_monitor_that_keeps_the_metrics_is_asked_where_it_listens(host: str, listens: Any, url: str) -> None:
    held(host, listens)
    assert keeper(OWN, "key", "here").url == url


@pytest.mark.django_db
def test_while_nobody_keeps_them_the_own_monitor_is_asked_and_says_so() -> None:
    assert keeper(OWN, "key", "here") is OWN
    Lease.objects.create(shard=0, holder=12345)
    assert keeper(OWN, "key", "here") is OWN


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_one_that_answers_on_its_own_host_only_is_not_asked_and_the_missing_setting_is_named(address: str) -> None:
    held("there", [address, 9001])
    with pytest.raises(MetricsAway, match="METRICS_URL") as away:
        keeper(OWN, "key", "here")
    assert "there" in str(away.value)


def test_it_is_looked_up_again_after_a_moment_and_a_refusal_is_remembered_as_long() -> None:
    seconds, asked = [0.0], []
    answers: list[Server | MetricsAway] = [MetricsAway("set METRICS_URL"), OWN]

    def look_up() -> Server:
        asked.append(seconds[0])
        found = answers[min(len(asked), 2) - 1]
        if isinstance(found, MetricsAway):
            raise found
        return found

    find = Keeper(look_up, lambda: seconds[0])
    for seconds[0] in (0.0, 1.0):
        with pytest.raises(MetricsAway, match="METRICS_URL"):
            find()
    for seconds[0] in (4.0, 5.0):
        assert find() is OWN
    assert asked == [0.0, 4.0]


@pytest.mark.django_db
def test_pages_and_the_api_of_the_other_host_say_which_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    held("there", ["127.0.0.1", 9001])
    elsewhere = Client(OWN, Keeper(lambda: keeper(OWN, "key", "here")))
    monkeypatch.setattr("mainstay.observe.metrics.pages.forward_views.client", lambda: elsewhere)
    browser = Browser()
    browser.force_login(create_user("kim@example.com", Role.SUPPORT, "Kim", COMMAND_LINE, now()))
    answer = browser.get("/prometheus/api/v1/query", {"query": "up"})
    assert answer.status_code == 503
    assert "METRICS_URL" in answer.json()["error"]
    assert servers.find() is not None
