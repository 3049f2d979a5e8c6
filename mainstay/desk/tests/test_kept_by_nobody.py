"""What answers tell browsers: to keep nothing private, to keep to https, to run nothing from elsewhere."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from mainstay.desk.tests.browser import signed_in
from mainstay.desk.tests.desk import desk

pytestmark = pytest.mark.django_db
PRIVATE = [
    "/", "/me/", "/people/", "/people/?format=csv", "/tokens/", "/account/password/change/", "/account/2fa/",
    "/checks/", "/checks/?format=csv", "/journal/", "/journal/?format=jsonl", "/alerts/?format=json",
    "/api/v1/me", "/api/v1/openapi.json", "/applications/shop/days/", "/metrics/complete?query=u&at=1",
    "/settings/", "/nothing-here/", "/find?q=a",
]  # fmt: skip


@pytest.mark.fault("S18")
@pytest.mark.parametrize("address", PRIVATE)
def test_private_answers_are_stored_by_nobody(address: str) -> None:
    desk()
    for client in (signed_in(), Client()):
        assert client.get(address).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("address", PRIVATE)
def test_no_answer_may_be_framed_or_run_scripts_from_elsewhere(address: str) -> None:
    desk()
    for client in (signed_in(), Client()):
        headers = client.get(address).headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} <= {*policy}
        assert not [rule for rule in policy if "unsafe" in rule or rule.startswith(("script-src", "style-src"))]
        assert headers["X-Frame-Options"] == "DENY"


def test_a_form_of_another_site_changes_nothing() -> None:
    check = desk().check
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = signed_in().cookies
    assert browser.get("/checks/").status_code == 200
    assert browser.post(f"/checks/{check.pk}/pause/").status_code == 403
    assert not type(check).objects.get(pk=check.pk).paused


def test_files_of_the_program_itself_may_be_kept() -> None:
    answer = Client().get("/static/desk.css")
    assert answer.headers.get("Cache-Control", "") != "no-store"


@pytest.mark.fault("S19")
@pytest.mark.parametrize("address", ["/", "/account/login/", "/api/v1/me", "/nothing-here/"])
def test_under_https_browsers_are_told_to_keep_to_it(address: str, settings: Any) -> None:
    assert "Strict-Transport-Security" not in Client().get(address).headers
    settings.SECURE_HSTS_SECONDS = 86400
    for secure in (False, True):  # whether or not the proxy in front says that it was https
        assert Client().get(address, secure=secure).headers["Strict-Transport-Security"] == "max-age=86400"


CHECKED = """
import django; django.setup()
from django.conf import settings
from django.core.management import call_command
if settings.SECURE_HSTS_SECONDS:
    call_command("check", deploy=True, fail_level="INFO")
print(settings.SECURE_HSTS_SECONDS, settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE)
"""


@pytest.mark.fault("S19")
@pytest.mark.parametrize(
    ("url", "hsts", "said"),
    [
        ("https://desk.example", "", f"{365 * 86400} True True"),
        ("https://desk.example", "7d", f"{7 * 86400} True True"),
        ("https://desk.example", "off", "0 True True"),
        ("http://desk.example", "", "0 False False"),
    ],
)
def test_the_checks_for_deployment_find_nothing_under_https(url: str, hsts: str, said: str, tmp_path: Path) -> None:
    environ = {
        "MAINSTAY_HOME": str(tmp_path), "MAINSTAY_BASE_URL": url, "MAINSTAY_HSTS": hsts, "PATH": "/usr/bin",
        "DJANGO_SETTINGS_MODULE": "mainstay.settings",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CHECKED], env=environ, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == said, done.stderr
