"""What one folder and one line in the list of wings give a wing."""

import json
from datetime import timedelta

import pytest

from mainstay.cli import main
from mainstay.config.apply import apply_text, plan_text
from mainstay.config.export import export
from mainstay.config.reference import markdown
from mainstay.desk.duties import duties
from mainstay.desk.selfmetrics import text
from mainstay.desk.tests.browser import fragment, page, signed_in, title
from mainstay.desk.tests.desk import caller
from mainstay.foundation import environment as env
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.actions import put_application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.secrets import MASK, unseal
from mainstay.role import works_of
from tests.annex.actions import put_contract
from tests.annex.models import Call, Contract
from tests.annex.spec import ContractSpec

pytestmark = pytest.mark.django_db
PIN = "4711-very-secret"
FILE = f"""\
applications:
  - name: shop
contracts:
  - name: hosting
    application: shop
    vendor: Rack and Sons
    pin: "{PIN}"
"""


@pytest.fixture
def contract() -> Contract:
    put_application(ApplicationSpec(name="shop"), COMMAND_LINE, now())
    spec = {"name": "hosting", "application": "shop", "vendor": "Rack and Sons", "pin": PIN}
    return put_contract(ContractSpec.model_validate(spec), COMMAND_LINE, now())


def is_over(contract: Contract) -> None:
    Contract.objects.filter(pk=contract.pk).update(ends_at=now() - timedelta(minutes=1))
    (work,) = [work for work in works_of("worker", env.read()) if [one.name for one in work.cycles] == ["contracts"]]
    assert work.cycles[0].run(now(), 1)


def test_it_stands_in_the_navigation_with_a_number(contract: Contract) -> None:
    assert 'href="/contracts/"' in page(signed_in(Role.SUPPORT), "/checks/")
    assert 'href="/contracts/"' not in page(signed_in(Role.STAKEHOLDER), "/")
    is_over(contract)
    assert 'id="count-contracts">1<' in page(signed_in(), "/checks/")


def test_its_pages_show_and_export(contract: Contract) -> None:
    client = signed_in()
    assert "Rack and Sons" in page(client, "/contracts/")
    assert json.loads(b"".join(client.get("/contracts/?format=json").streaming_content))[0]["name"] == "hosting"
    assert title(page(client, "/contracts/hosting/")) == "Rack and Sons answers for hosting."
    assert fragment(client, "/contracts/", "live").status_code == 200
    assert PIN not in page(client, "/contracts/hosting/edit/")


def test_its_form_takes_what_fits_and_says_what_does_not(contract: Contract) -> None:
    client = signed_in(Role.DEVOPS)
    wrong = client.post("/new-contract/", {"name": "no spaces please", "vendor": ""})
    assert wrong.status_code == 422
    assert wrong.content.decode().count('class="error"') >= 2
    taken = client.post("/new-contract/", {"name": "hosting", "vendor": "Another"})
    assert "A contract named hosting exists already" in taken.content.decode()
    unknown = client.post("/new-contract/", {"name": "other", "vendor": "Another", "application": "blog"})
    assert "No application named blog exists" in unknown.content.decode()
    assert client.post("/contracts/hosting/edit/", {"name": "hosting", "vendor": "Rack"}).status_code == 302
    contract.refresh_from_db()
    assert contract.vendor == "Rack"
    assert unseal(contract.config["pin"], env_key()) == PIN, "a secret that was not given anew is kept"
    assert client.post("/contracts/hosting/delete/").status_code == 302
    assert not Contract.objects.exists()


def env_key() -> str:
    from django.conf import settings

    return str(settings.SECRET_KEY)


def test_its_operations(contract: Contract) -> None:
    ask = caller(Role.DEVOPS)
    body = {"name": "network", "vendor": "Wires", "pin": PIN}
    made = ask("POST", "/contracts", body)
    assert made.status_code == 201, made.content
    assert made.headers["Location"] == "/api/v1/contracts/network"
    assert made.json()["spec"]["pin"] == MASK
    assert [one["name"] for one in ask("GET", "/contracts").json()["items"]] == [
        "hosting",
        "network",
    ]
    kept = ask("PUT", "/contracts/network", made.json()["spec"] | {"vendor": "Cables"})
    assert (kept.status_code, kept.json()["vendor"]) == (200, "Cables")
    assert unseal(Contract.objects.get(name="network").config["pin"], env_key()) == PIN
    refused = ask("POST", "/contracts", {"name": "x", "vendor": "", "colour": "red"})
    assert refused.status_code == 422
    assert {one["pointer"] for one in refused.json()["errors"]} >= {"/vendor", "/colour"}
    called = ask("POST", "/contracts/hosting/calls", {"note": "The rack burns."})
    assert called.status_code == 201
    assert Call.objects.get().note == "The rack burns."
    assert ask("DELETE", "/contracts/network").status_code == 204
    document = ask("GET", "/openapi.json").json()
    assert {"get", "post"} <= document["paths"]["/api/v1/contracts"].keys()
    assert {"get", "put", "delete"} <= document["paths"]["/api/v1/contracts/{name}"].keys()


def test_what_is_done_with_it_stands_in_the_journal_with_a_link(contract: Contract) -> None:
    text = page(signed_in(), "/journal/")
    assert 'href="/contracts/hosting/"' in text
    assert "was signed" in text


def test_a_file_describes_it() -> None:
    plan_text(FILE, "shop.yaml", COMMAND_LINE, now())
    apply_text(FILE, "shop.yaml", COMMAND_LINE, now())
    contract = Contract.objects.get()
    assert (contract.vendor, contract.managed_by) == ("Rack and Sons", "shop.yaml")
    assert unseal(contract.config["pin"], env_key()) == PIN
    written = export(now()).text()
    assert "contracts:" in written
    assert PIN not in written
    assert plan_text(written, "shop.yaml", COMMAND_LINE, now()).changes_nothing, "a mask keeps the secret"
    assert "## Contracts" in markdown()
    assert "managed by the file" in page(signed_in(), "/contracts/hosting/edit/")
    apply_text("applications: [{name: shop}]", "shop.yaml", COMMAND_LINE, now())
    assert not Contract.objects.exists()


def test_a_file_with_a_mistake_in_it_says_where() -> None:
    wrong = FILE.replace("vendor: Rack and Sons", "vendr: Rack and Sons")
    missing, unknown = apply_text(wrong, "shop.yaml", COMMAND_LINE, now()).problems
    assert (missing.line, unknown.line, unknown.column) == (4, 6, 5)
    assert "vendor" in str(missing)
    assert "vendr" in str(unknown)
    lost = FILE.replace("application: shop", "application: blog")
    (problem,) = apply_text(lost, "shop.yaml", COMMAND_LINE, now()).problems
    assert problem.line == 5
    assert "blog" in str(problem)
    assert not Contract.objects.exists()


def test_ctrl_k_finds_it(contract: Contract) -> None:
    text = page(signed_in(Role.SUPPORT), "/find", 200, q="rack")
    assert 'href="/contracts/hosting/"' in text
    assert "Contracts" in page(signed_in(Role.SUPPORT), "/find", 200, q="vendor")
    assert "Sign a contract" in page(signed_in(Role.DEVOPS), "/find", 200, q="sign")
    assert "Sign a contract" not in page(signed_in(Role.SUPPORT), "/find", 200, q="sign")


def test_now_an_application_s_page_and_duties_show_it(contract: Contract) -> None:
    client = signed_in(Role.DEVOPS)
    assert 'href="/contracts/hosting/"' in page(client, "/applications/shop/")
    Contract.objects.update(ends_at=now() + timedelta(days=3))
    user = User.objects.get(role="devops")
    assert "hosting" in [one.title for one in duties(user, now())]
    is_over(contract)
    text = page(client, "/")
    assert "1 over" in text
    assert "Contracts</h2>" in text
    assert Entry.objects.filter(kind="contract.ended").exists()


def test_status_and_metrics_tell_of_it(contract: Contract, capsys: pytest.CaptureFixture[str]) -> None:
    assert b"mainstay_contracts 1.0" in text(now())
    is_over(contract)
    main(["status"])
    assert "hosting: over" in capsys.readouterr().out
    assert b"mainstay_contracts 0.0" in text(now())


def test_its_permission_stands_in_the_table() -> None:
    assert "Sign and end contracts" in page(signed_in(), "/people/permissions/")
