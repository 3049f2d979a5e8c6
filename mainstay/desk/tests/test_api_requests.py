"""What comes in is checked at the door; whatever goes wrong is answered as a problem document, never as HTML."""

import json
import sqlite3
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from mainstay.desk.api import api
from mainstay.desk.tests.desk import CHECK, Caller, caller, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.api import door
from mainstay.foundation.api.parsing import DEEPEST
from mainstay.foundation.api.problems import BODY_MOST_BYTES
from mainstay.foundation.clock import now
from mainstay.observe.checks.actions import put_check
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.spec import CheckSpec

pytestmark = pytest.mark.django_db


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The document of an answer that must be a problem."""
    assert answer.status_code == status, (answer.status_code, answer.content[:500])
    assert answer["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(answer.content)
    assert document["status"] == status
    assert document["title"]
    assert document["detail"].endswith((".", "?", "!"))
    return document


@pytest.mark.parametrize("address", ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/checks", "/api/v1/nothing/1/2"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_an_address_that_is_none_is_a_404_problem_for_everyone(address: str, method: str) -> None:
    problem(Client().generic(method, address), 404)


def test_a_method_that_an_address_lacks_is_a_405_that_tells_which_it_has() -> None:
    answer = caller()("PATCH", "/checks", {})
    assert problem(answer, 405)
    assert answer["Allow"] == "GET, HEAD, POST"
    problem(Client().put("/api/v1/openapi.json"), 405)


def test_head_is_answered_as_get() -> None:
    assert caller()("HEAD", "/me").status_code == 200


@pytest.mark.parametrize(
    "body", [b"{", b"nonsense", b'{"name": NaN}', b"\xff\xfe", b'{"a": 1, "a": 2}', b"[" * 100_000]
)
def test_what_is_no_json_is_a_400(body: bytes) -> None:
    problem(caller()("POST", "/applications", body), 400)


def test_a_body_in_another_media_type_is_a_415() -> None:
    for given in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
    ):
        problem(caller()("POST", "/applications", b"name=shop", content_type=given), 415)


def test_a_body_beyond_a_megabyte_is_a_413_whether_declared_or_not() -> None:
    problem(caller()("POST", "/applications", b" " * (BODY_MOST_BYTES + 1)), 413)
    problem(caller()("POST", "/applications", b" " * 3_000_000), 413)
    problem(caller()("POST", "/config/plan", b" " * (BODY_MOST_BYTES + 1), content_type="application/yaml"), 413)
    assert caller()("POST", "/applications", b'{"name": "a"}' + b" " * (BODY_MOST_BYTES - 13)).status_code == 201


def test_a_missing_body_is_a_422_that_says_so() -> None:
    assert problem(caller()("POST", "/applications"), 422)["errors"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"name": "a", "description": "x\\u0000y"}', "/description"),
        (b'{"name": "a", "description": "\\ud800"}', "/description"),
        (b'{"name": "a", "links": [{"label": "\\udfff", "url": "http://x"}]}', "/links/0/label"),
    ],
)
def test_text_that_no_database_stores_is_a_422_with_its_place(body: bytes, pointer: str) -> None:
    assert problem(caller()("POST", "/applications", body), 422)["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "a", "links": 1e400}',
        b'{"name": "a", "links": 99999999999999999999}',
        b'{"name": "a", "links": -' + b"9" * 5_000 + b"}",
        b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1),
    ],
)
def test_numbers_and_depth_out_of_range_are_a_422(body: bytes) -> None:
    problem(caller()("POST", "/applications", body), 422)


@pytest.mark.parametrize(
    "address",
    [
        "/checks?q=%00",
        "/checks?%00=1",
        "/applications/a%00b",
        "/checks/99999999999999999999",
        "/checks/0",
        "/checks/-1",
        "/checks/x",
        "/checks?limit=0",
        "/checks?limit=1001",
        "/checks?limit=",
        "/checks?cursor=%F0%9F%98%80",
        "/checks?cursor=bm8",
        "/checks?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
        "/checks?status=broken",
        "/checks?label=%20",
        "/journal?from=yesterday",
        "/journal?from=2026-01-01",
        "/journal?from=0001-01-01T00:00:00%2B23:59",
        "/journal?from=9999-12-31T23:59:59-23:59",
        "/journal?subject=check",
        "/journal/verify?expected_head=xyz",
        "/applications/shop/uptime?days=0",
        "/applications/shop/uptime?days=91",
    ],
)
def test_parameters_that_are_not_valid_are_a_422(address: str) -> None:
    desk()
    problem(caller()("GET", address), 422)


def test_a_misspelt_filter_is_refused_instead_of_showing_the_wrong_list() -> None:
    document = problem(caller()("GET", "/alerts?stat=open"), 422)
    assert document["errors"][0]["parameter"] == "stat"
    assert "state" in document["errors"][0]["detail"]


def test_a_filter_that_is_given_twice_is_refused_instead_of_showing_half_the_list() -> None:
    document = problem(caller()("GET", "/alerts?severity=critical&severity=major"), 422)
    assert document["errors"] == [{"parameter": "severity", "detail": "given more than once; it takes one value"}]


def test_no_operation_takes_a_list_in_its_address() -> None:
    """Otherwise the door must let it be given more than once."""
    for _, _, operation in api.operations():
        for model in operation.models:
            if model.__ninja_param_source__ == "query":
                assert '"array"' not in json.dumps(model.model_json_schema())


def test_things_that_are_not_there_are_a_404_that_names_them() -> None:
    call = caller()
    for address in ("/checks/12", "/checks/12/results", "/alerts/12", "/channels/none", "/applications/none/uptime"):
        detail = problem(call("GET", address), 404)["detail"]
        assert "12" in detail or "none" in detail
    problem(call("GET", f"/checks/{2**63 - 1}"), 404)


def test_every_error_of_a_body_has_its_place() -> None:
    desk()
    body = {
        "application": "shop",
        "name": "with space",
        "every": "often",
        "http": {"url": "ftp://x", "expect": {"status": 999}},
        "labels": {"team": 3},
        "colour": "red",
    }
    found = {error["pointer"] for error in problem(caller()("POST", "/checks", body), 422)["errors"]}
    assert found == {"/name", "/every", "/http/url", "/http/expect/status", "/labels/team", "/colour"}


def test_an_error_message_never_repeats_a_secret() -> None:
    desk()
    body = CHECK | {"application": "shop", "name": "x", "http": {"url": "http://a:hunter2@b/", "bearer": "hunter2\n"}}
    assert b"hunter2" not in caller()("POST", "/checks", body).content


def test_what_an_action_refuses_names_the_field_and_a_taken_name_is_a_conflict() -> None:
    desk()
    call = caller()
    body = CHECK | {"application": "shop", "name": "x", "environment": "moon"}
    assert problem(call("POST", "/checks", body), 422)["errors"][0]["pointer"] == "/environment"
    assert "storefront" in problem(call("POST", "/checks", CHECK | {"application": "shop"}), 409)["detail"]
    assert (
        problem(call("POST", "/checks", CHECK | {"application": "gone"}), 422)["errors"][0]["pointer"] == "/application"
    )
    window = {"name": "x", "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}
    assert problem(call("POST", "/maintenance", window), 422)["errors"][0]["pointer"] == "/ends_at"


def test_what_a_file_manages_is_a_conflict_that_names_the_file() -> None:
    found = desk()
    row = put_check(
        found.application, CheckSpec.model_validate(CHECK | {"name": "filed"}), COMMAND_LINE, now(), by_file="shop.yaml"
    )
    for method, body in (("PUT", CHECK | {"name": "filed", "every": "7s"}), ("DELETE", None)):
        assert "shop.yaml" in problem(caller()(method, f"/checks/{row.pk}", body), 409)["detail"]
    assert Check.objects.get(pk=row.pk).every_s == 5


def test_a_database_that_is_busy_is_a_503_to_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    call = caller()
    call.get("/checks")

    def locked(*_: object) -> None:
        raise OperationalError("database is locked")

    with connection.execute_wrapper(locked):
        answer = call("GET", "/checks")
    problem(answer, 503)
    assert int(answer["Retry-After"]) > 0
    assert isinstance(sqlite3.OperationalError(), sqlite3.DatabaseError)


def test_a_defect_of_ours_is_a_500_problem_without_its_inside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    call = caller()

    def defect(*_: object) -> None:
        raise RuntimeError("the inside")

    with connection.execute_wrapper(defect):
        answer = call("GET", "/checks")
    assert b"inside" not in answer.content
    problem(answer, 500)
    assert "the inside" in caplog.text
    monkeypatch.setattr(door, "_check_query", defect)
    problem(call("GET", "/checks"), 500)


def test_the_callers_header_is_taken_as_it_comes() -> None:
    for header in ("Bearer", "Bearer ", "bearer x", "Bearer " + "x" * 5_000, "Token x", "\xff"):
        problem(Caller()("GET", "/me", Authorization=header), 401)
