"""The OpenAPI document says what the API does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from ninja.openapi.schema import OpenAPISchema

from mainstay.desk.api import api
from mainstay.foundation.api.describe import MEANINGS
from mainstay.foundation.api.problems import TITLES

# As it is served: the server writes it once.
DOCUMENT: dict[str, Any] = json.loads(Client(SERVER_NAME="localhost").get("/api/v1/openapi.json").content)
OPERATIONS = [
    (address, method, operation)
    for address, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_it_is_served_to_everyone_without_a_database() -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["openapi"].startswith("3.1")
    assert set(answer.json()["paths"]) == set(DOCUMENT["paths"])


def test_operations_have_short_names_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)


@pytest.mark.parametrize(("address", "method", "operation"), OPERATIONS, ids=[f"{m} {a}" for a, m, _ in OPERATIONS])
def test_every_operation_is_told_completely(address: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert len(operation["summary"]) <= 100
    assert operation["x-permission"] in operation["description"]
    assert operation["tags"]
    answers = operation["responses"]
    assert {"401", "403", "422", "503"} <= set(answers)
    assert ("404" in answers) == ("{" in address)
    assert ("415" in answers) == ("requestBody" in operation)
    for status, answer in answers.items():
        if int(status) >= 400:
            assert answer["description"] == MEANINGS[int(status)]
            assert int(status) in TITLES
            assert list(answer["content"]) == ["application/problem+json"]
        elif status != "204":
            assert answer["content"], "an answer has a schema"
    keys = [one for one in operation["parameters"] if one["name"] == "Idempotency-Key"]
    assert bool(keys) == (method == "post")


# What OpenAPI 3.1 lets a parameter have beside its schema: generators of clients refuse a document with more.
PARAMETER = {"name", "in", "description", "required", "schema"}


def test_parameters_have_their_examples_in_the_schema() -> None:
    parameters = [one for _, _, operation in OPERATIONS for one in operation["parameters"]]
    assert {name for one in parameters for name in one} <= PARAMETER
    ids = [one for one in parameters if one["name"] == "check_id"]
    assert all(one["schema"]["examples"] == [1] for one in ids)


def test_lists_are_pages_with_a_cursor() -> None:
    for address, method, operation in OPERATIONS:
        if method == "get" and operation["operationId"].startswith("list_"):
            reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            page = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
            assert set(page["properties"]) == {"items", "next", "unreadable"}, address
            names = {one["name"] for one in operation["parameters"]}
            assert ("cursor" in names) == ("limit" in names)


def test_every_reference_leads_somewhere_and_no_schema_is_left_over() -> None:
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)))
    assert references == set(DOCUMENT["components"]["schemas"])


def test_no_two_schemas_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ninja lets the later one win, and the document would then describe one operation by another's schema."""
    seen: dict[str, Any] = {}

    def add(self: OpenAPISchema, definitions: dict[str, Any]) -> None:
        for name, definition in definitions.items():
            assert seen.setdefault(name, definition) == definition, name
        self.schemas.update(definitions)

    monkeypatch.setattr(OpenAPISchema, "add_schema_definitions", add)
    api.get_openapi_schema()
    assert len(seen) > 50


def test_secrets_are_never_part_of_what_is_answered() -> None:
    """Settings that hold secrets occur in what is sent; what is read shows them masked, as a plain object."""
    schemas = DOCUMENT["components"]["schemas"]
    for _, _, operation in OPERATIONS:
        for status, answer in operation["responses"].items():
            found = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(answer)))
            while True:
                more = {n for name in found for n in re.findall(r'schemas/([^"]+)"', json.dumps(schemas[name]))} - found
                if not more:
                    break
                found |= more
            assert not [name for name in found if "writeOnly" in json.dumps(schemas[name])], (operation, status)


def test_the_documentation_lists_every_operation_with_its_permission_and_every_status() -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    told = {
        (method, address): (summary, permission)
        for method, address, summary, permission in re.findall(r"\| `([A-Z]+) (/\S+)` \| (.+?) \| `([a-z.]+)` \|", text)
    }
    assert told == {
        (method.upper(), address.removeprefix("/api/v1")): (operation["summary"], operation["x-permission"])
        for address, method, operation in OPERATIONS
    }
    statuses = dict(re.findall(r"^\| (\d{3}) \| (.+?) \|$", text, re.MULTILINE))
    assert {int(status) for status in statuses} == set(TITLES)
    for status, meaning in MEANINGS.items():
        assert statuses[str(status)].startswith(meaning.rstrip(".")), status


def test_the_documentation_lists_every_metric() -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    package = Path(__file__).parents[2]
    source = "".join(path.read_text() for path in (package / "desk" / "selfmetrics.py", *package.rglob("status.py")))
    told = set(re.findall(r"^\| `(mainstay_\w+)", text, re.MULTILINE))
    assert {name.removesuffix("_total") for name in told} == set(re.findall(r'"(mainstay_\w+)"', source))
