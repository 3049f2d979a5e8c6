"""The form of a check: generated from its kind's settings, validated by the same spec as a file, secrets kept."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import yaml
from django.conf import settings as django_settings
from django.test import Client

from mainstay.desk.tests.browser import page, signed_in
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.models import Application, Environment
from mainstay.foundation.secrets import MASK, unseal_all
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages.forms import CheckForm
from mainstay.observe.checks.tests.parts import application, check

pytestmark = pytest.mark.django_db
SECRET = "sesame-opens-the-door"


@pytest.fixture
def client() -> Client:
    return signed_in(Role.ADMIN)


@pytest.fixture
def shop() -> Application:
    made = application()
    Environment.objects.create(application=made, name="production")
    return made


def given(**changes: Any) -> dict[str, Any]:
    """What a browser posts for a new HTTP check."""
    form = {
        "kind": "http",
        "application": "shop",
        "name": "front",
        "severity": "major",
        "environment": "production",
        "every": "30s",
        "timeout": "5s",
        "labels": "team=web\nlang=de",
        "kind.url": "http://127.0.0.1:1/",
        "kind.method": "GET",
        "kind.verify": "on",
        "kind.http2": "on",
        "kind.follow_redirects": "on",
    }
    return {key: value for key, value in {**form, **changes}.items() if value is not None}


def stored(one: Check) -> Any:
    """The settings of a check, secrets opened."""
    one.refresh_from_db()
    return unseal_all(one.config, django_settings.SECRET_KEY)


def errors(answer: Any, field: str) -> str:
    """What stands at a field of an answered form."""
    assert answer.status_code == 422
    text: str = answer.content.decode()
    marker = f'id="id_{field}_error">'
    assert marker in text, f"no error at {field}"
    return text.partition(marker)[2].partition("</div></div>")[0]


def test_a_check_is_added(client: Client, shop: Application) -> None:
    answer = client.post(
        "/checks/new/", given(**{"kind.expect.status": "[200, 301]", "kind.expect.max_latency": "800ms"})
    )
    made = Check.objects.get()
    assert answer.headers["Location"] == f"/checks/{made.pk}/"
    assert (made.every_s, made.timeout_s, made.labels) == (30, 5, {"team": "web", "lang": "de"})
    assert made.environment is not None
    # What is as by default is not stored, so that a later default is theirs as well.
    assert stored(made) == {"url": "http://127.0.0.1:1/", "expect": {"status": [200, 301], "max_latency": "800ms"}}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": "not a name"}, "name", "Letters, digits"),
        ({"kind.url": "ftp://127.0.0.1/"}, "kind.url", "not of http or https"),
        ({"kind.url": ""}, "kind.url", "This field is required."),
        ({"kind.expect.max_latency": "soon"}, "kind.expect.max_latency", "800ms"),
        ({"kind.headers": "{a: ["}, "kind.headers", "not YAML"),
        ({"kind.headers": "{a: !!bool maybe}"}, "kind.headers", "the tag tag:yaml.org,2002:bool is not read here"),
        ({"from_yaml": "on", "yaml": "url: !!bool maybe"}, "yaml", "the tag tag:yaml.org,2002:bool is not read here"),
        ({"from_yaml": "on", "yaml": "url: 2026-13-45"}, "yaml", "url: "),
        ({"from_yaml": "on", "yaml": "url: &a [*a]"}, "yaml", "aliases"),
        ({"kind.expect.headers": "{Content-Type: {contain: json}}"}, "kind.expect.headers", "Content-Type"),
        ({"every": "0.1s"}, "every", "Must be at least 1s."),
        ({"labels": "web"}, "labels", "name=value"),
        ({"needs": "nothing"}, "needs", "No check named nothing exists"),
        ({"runbook": "javascript:alert(1)"}, "runbook", "http://"),
        ({"from_yaml": "on", "yaml": "url: ["}, "yaml", "not YAML"),
        ({"from_yaml": "on", "yaml": "- url"}, "yaml", "mapping"),
        ({"from_yaml": "on", "yaml": "url: http://127.0.0.1/\nexpect: {stat: 1}"}, "yaml", "expect.stat"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(
    client: Client, shop: Application, changes: dict[str, str], field: str, words: str
) -> None:
    assert words in errors(client.post("/checks/new/", given(**changes)), field)
    assert not Check.objects.exists()


def test_what_no_single_field_is_to_blame_for_is_said_above_the_form(client: Client, shop: Application) -> None:
    answer = client.post("/checks/new/", given(**{"kind.body": "a", "kind.form": "{a: b}"}))
    assert answer.status_code == 422
    assert "Give one body only" in answer.content.decode()


def test_a_name_that_is_taken_is_refused_at_the_name(client: Client, shop: Application) -> None:
    check("front")
    assert "has a check named front already" in errors(client.post("/checks/new/", given()), "name")


def test_a_secret_is_never_shown_and_is_kept_when_its_field_stays_empty(client: Client, shop: Application) -> None:
    client.post("/checks/new/", given(**{"kind.bearer": SECRET, "kind.secret_headers": f"{{X-Key: {SECRET}}}"}))
    made = Check.objects.get()
    text = page(client, f"/checks/{made.pk}/edit/")
    assert SECRET not in text
    assert MASK in text
    kept = {"kind.bearer": "", "kind.secret_headers": f'{{X-Key: "{MASK}"}}', "kind.url": "http://127.0.0.1:2/"}
    assert client.post(f"/checks/{made.pk}/edit/", given(**kept)).status_code == 302
    assert stored(made) == {"url": "http://127.0.0.1:2/", "bearer": SECRET, "secret_headers": {"X-Key": SECRET}}
    assert SECRET not in str(made.config)


def test_a_mask_for_which_no_secret_is_stored_is_refused_and_not_taken_for_one(
    client: Client, shop: Application
) -> None:
    made = check("front", http={"url": "http://127.0.0.1:1/", "secret_headers": {"X-Key": SECRET}})
    renamed = given(**{"kind.secret_headers": f'{{X-Token: "{MASK}"}}'})
    assert "X-Token: a mask is no secret" in errors(
        client.post(f"/checks/{made.pk}/edit/", renamed), "kind.secret_headers"
    )
    assert stored(made)["secret_headers"] == {"X-Key": SECRET}
    document = {"url": "http://127.0.0.1:1/", "bearer": MASK}
    answer = client.post("/checks/new/", given(name="other", from_yaml="on", yaml=yaml.safe_dump(document)))
    assert "bearer: a mask is no secret" in errors(answer, "yaml")


def test_settings_as_yaml_can_say_everything_and_keep_secrets(client: Client, shop: Application) -> None:
    made = check("front", http={"url": "http://127.0.0.1:1/", "bearer": SECRET})
    document = {"url": "http://127.0.0.1:1/", "bearer": MASK, "expect": {"json": {"data[0].id": 7}}}
    answer = client.post(
        f"/checks/{made.pk}/edit/", given(from_yaml="on", yaml=yaml.safe_dump(document), **{"kind.url": None})
    )
    assert answer.status_code == 302
    assert stored(made)["bearer"] == SECRET
    assert stored(made)["expect"] == {"json": {"data[0].id": {"equals": 7}}}


def test_saving_without_a_change_changes_nothing(client: Client, shop: Application) -> None:
    client.post("/checks/new/", given(**{"kind.expect.status": "2xx", "kind.verify": None, "fail_after": "4"}))
    made = Check.objects.get()
    before = stored(made)
    form = CheckForm("http", shop, check=Check.objects.get())
    posted = {
        name: "on" if value is True else value
        for name, field in form.fields.items()
        if (value := form.initial.get(name, field.initial)) not in (None, False, "")
    }
    del posted["yaml"]
    assert client.post(f"/checks/{made.pk}/edit/", posted).status_code == 302
    assert stored(made) == before
    assert made.fail_after == 4


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_form(client: Client, shop: Application, kind: str) -> None:
    text = page(client, "/checks/new/", 200, kind=kind, application="shop")
    for one in CheckForm(kind, shop).kind_inputs:
        assert f'name="{one}"' in text, one
    assert ("Try it" in text) == (not KINDS[kind].passive)


def test_a_heartbeat_is_added_without_an_interval_of_its_own(client: Client, shop: Application) -> None:
    form = {
        "kind": "heartbeat",
        "application": "shop",
        "name": "job",
        "severity": "major",
        "kind.cron": "0 3 * * *",
        "kind.timezone": "Europe/Berlin",
    }
    answer = client.post("/checks/new/", form)
    assert answer.status_code == 302
    assert stored(Check.objects.get()) == {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}


def test_a_check_of_a_file_is_shown_but_not_changed(client: Client, shop: Application) -> None:
    made = check("front")
    Check.objects.update(managed_by="shop.yaml")
    text = page(client, f"/checks/{made.pk}/edit/")
    assert "mainstay apply shop.yaml" in text
    assert text.count(" disabled") > 20
    assert ">Save<" not in text
    answer = client.post(f"/checks/{made.pk}/edit/", given(**{"kind.url": "http://127.0.0.1:9/"}))
    assert answer.status_code == 422
    assert "managed by the file shop.yaml" in answer.content.decode()
    assert stored(made)["url"] == "http://127.0.0.1:1/front"


def test_without_an_application_the_form_says_what_comes_first(client: Client) -> None:
    assert "A check belongs to an application" in page(client, "/checks/new/")


# --- trying ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[str]:
    """A real server that wants a token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("Authorization") == f"Bearer {SECRET}"
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_trying_shows_what_one_probe_sees_and_saves_nothing(client: Client, shop: Application, site: str) -> None:
    text = client.post("/checks/try/", given(**{"kind.url": site})).content.decode()
    assert "is-down" in text
    assert "code 401" in text
    assert not Check.objects.exists()


def test_trying_an_edit_uses_the_stored_secret(client: Client, shop: Application, site: str) -> None:
    made = check("front", http={"url": site, "bearer": SECRET})
    text = client.post("/checks/try/", given(check=made.pk, **{"kind.url": site, "kind.bearer": ""})).content.decode()
    assert "is-up" in text
    assert "first byte" in text
    assert SECRET not in text


def test_a_form_that_cannot_be_is_not_tried(client: Client, shop: Application) -> None:
    text = client.post("/checks/try/", given(**{"kind.url": "shop"})).content.decode()
    assert "Not tried." in text
    assert "URL: " in text


def test_probing_now_shows_the_outcome_in_a_dialog_and_counts_nothing(shop: Application, site: str) -> None:
    made = check("front", http={"url": site, "bearer": SECRET})
    text = signed_in(Role.SUPPORT).post(f"/checks/{made.pk}/probe/").content.decode()
    assert 'id="dialog-title"' in text
    assert "is-up" in text
    assert not made.results.exists()
