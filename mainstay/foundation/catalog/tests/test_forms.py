"""Adding, editing and removing applications in the browser."""

from typing import Any

import pytest
from django.test import Client

from mainstay.desk.tests.browser import page, signed_in
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import Team
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.actions import put_application, spec_of
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.clock import now

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return signed_in(Role.DEVOPS)


def put(**given: Any) -> Application:
    return put_application(ApplicationSpec.model_validate({"name": "shop", **given}), COMMAND_LINE, now())


def form(**changes: str) -> dict[str, str]:
    """What a browser posts for an application with two components."""
    return {
        "name": "shop",
        "tier": "critical",
        "owner": "",
        "repository": "",
        "description": "Sells things.",
        "environments-0-name": "production",
        "environments-0-url": "http://127.0.0.1:9001",
        "environments-1-name": "",
        "environments-1-url": "",
        "components-0-name": "database",
        "components-0-description": "",
        "components-0-needs": "",
        "components-1-name": "",
        "components-1-description": "",
        "components-1-needs": "",
        "components-2-name": "api",
        "components-2-description": "Speaks JSON.",
        "components-2-needs": "database",
        "links-0-label": "Dashboard",
        "links-0-url": "https://grafana.example/",
        **changes,
    }


def refused(answer: Any, field: str) -> str:
    assert answer.status_code == 422
    text: str = answer.content.decode()
    marker = f'id="id_{field}_error">'
    assert marker in text, f"no error at {field}"
    return text.partition(marker)[2].partition("</td>")[0]


def test_an_application_is_added_with_all_its_parts(client: Client) -> None:
    Team.objects.create(name="Web")
    answer = client.post("/add/application/", form(owner="Web"))
    assert answer.headers["Location"] == "/applications/shop/"
    found = spec_of(Application.objects.get())
    assert (found.tier, found.owner) == ("critical", "Web")
    assert [(one.name, one.url) for one in found.environments] == [("production", "http://127.0.0.1:9001")]
    assert [(one.name, one.needs) for one in found.components] == [("database", []), ("api", ["database"])]
    assert [one.label for one in found.links] == ["Dashboard"]


def test_emptying_a_row_removes_it(client: Client) -> None:
    client.post("/add/application/", form())
    client.post(
        "/applications/shop/edit/",
        form(**{"components-2-name": "", "components-2-description": "", "components-2-needs": ""}),
    )
    assert [one.name for one in spec_of(Application.objects.get()).components] == ["database"]


def test_saving_the_form_as_it_is_shown_changes_nothing(client: Client) -> None:
    other = put_application(
        ApplicationSpec.model_validate({"name": "billing", "components": [{"name": "ledger"}]}), COMMAND_LINE, now()
    )
    made = put(
        environments=[{"name": "staging"}],
        components=[{"name": "db"}, {"name": "api", "needs": ["db", "billing/ledger"]}],
        links=[{"label": "Wiki", "url": "https://wiki.example/"}],
    )
    before = spec_of(made)
    from mainstay.foundation.catalog.pages.forms import ApplicationForm

    shown = ApplicationForm(application=made)
    posted = {"name": "shop", "tier": "standard", "owner": "", "repository": "", "description": ""}
    for rows in shown.rows.values():
        for row in rows:
            posted |= {row.add_prefix(name): str(row.initial.get(name, "")) for name in row.fields}
    assert client.post("/applications/shop/edit/", posted).status_code == 302
    assert spec_of(Application.objects.get(name="shop")) == before
    assert other.components.count() == 1


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": "not a name"}, "name", "Letters, digits"),
        ({"name": ""}, "name", "required"),
        ({"repository": "ssh://git"}, "repository", "http"),
        ({"environments-0-url": "nowhere"}, "environments-0-url", "http"),
        ({"components-0-name": "a b"}, "components-0-name", "Letters, digits"),
        ({"components-1-description": "nameless"}, "components-1-name", "Give a name"),
        ({"components-2-needs": "cache"}, "components-2-needs", "No component named cache exists"),
        ({"components-2-needs": "api"}, "components-2-needs", "cannot need itself"),
        ({"links-0-url": "javascript:alert(1)"}, "links-0-url", "http"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(
    client: Client, changes: dict[str, str], field: str, words: str
) -> None:
    assert words in refused(client.post("/add/application/", form(**changes)), field)
    assert not Application.objects.exists()


def test_a_cycle_is_named(client: Client) -> None:
    answer = client.post("/add/application/", form(**{"components-0-needs": "api"}))
    assert answer.status_code == 422
    assert "form a cycle: shop/" in answer.content.decode()
    assert not Application.objects.exists()


def test_a_name_that_is_taken_is_refused(client: Client) -> None:
    put()
    assert "exists already" in refused(client.post("/add/application/", form()), "name")


def test_an_application_of_a_file_is_shown_but_not_changed(client: Client) -> None:
    put()
    Application.objects.update(managed_by="shop.yaml")
    text = page(client, "/applications/shop/edit/")
    assert "mainstay apply shop.yaml" in text
    assert ">Save<" not in text
    answer = client.post("/applications/shop/edit/", form(tier="critical"))
    assert answer.status_code == 422
    assert "managed by the file shop.yaml" in answer.content.decode()
    assert Application.objects.get().tier == "standard"


def test_an_application_called_new_can_be_reached(client: Client) -> None:
    client.post("/add/application/", form(name="new"))
    assert "new" in page(client, "/applications/new/")


def test_removing_an_application(client: Client) -> None:
    put()
    assert client.post("/applications/shop/delete/").status_code == 302
    assert not Application.objects.exists()


def test_a_refused_edit_leaves_the_address_of_the_page_alone(client: Client) -> None:
    put()
    text = client.post(
        "/applications/shop/edit/", form(name="other", **{"components-2-needs": "cache"})
    ).content.decode()
    assert 'href="/applications/shop/"' in text
    assert 'href="/applications/other/"' not in text
