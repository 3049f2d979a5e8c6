"""What this instance runs with, without its secrets."""

import os

import pytest

from mainstay.desk.settings_page import variables
from mainstay.desk.tests.browser import page, signed_in, title
from mainstay.foundation.clock import now
from mainstay.foundation.environment import VARIABLES
from mainstay.foundation.processes.models import Process


def test_a_secret_is_said_to_be_set_and_never_shown() -> None:
    found = {
        row["name"]: row["given"] for row in variables({"MAINSTAY_SECRET_KEY": "abc", "SMTP_URL": "smtp://u:pw@h"})
    }
    assert found["MAINSTAY_SECRET_KEY"] == found["SMTP_URL"] == "set, not shown"
    assert found["MAINSTAY_PORT"] == ""


@pytest.mark.django_db
def test_every_variable_is_listed_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SMTP_URL", "smtp://u:hunter2@mail.example")
    html = page(signed_in(), "/settings/")
    assert all(variable.name in html for variable in VARIABLES)
    assert "hunter2" not in html
    assert "set, not shown" in html


@pytest.mark.django_db
def test_a_process_that_is_missing_or_late_makes_the_headline() -> None:
    client = signed_in()
    assert title(page(client, "/settings/")) == "The web, monitor and worker processes are not running on time."
    for role in ("web", "monitor", "worker"):
        Process.objects.create(role=role, host="one", pid=7, boot="", started_at=now(), beat_at=now())
    assert title(page(client, "/settings/")) == "All three processes run on time."
    Process.objects.filter(role="worker").update(lag_s=40)
    html = page(client, "/settings/")
    assert title(html) == "The worker process is not running on time."
    assert "late" in html
