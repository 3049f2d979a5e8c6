"""`ETag` and `If-Match`: who changes what somebody else has changed meanwhile is told, and nothing is lost."""

import re
from typing import Any

import pytest
from django.urls import reverse

from mainstay.desk.tests.browser import page, signed_in
from mainstay.desk.tests.desk import caller, desk
from mainstay.foundation.api.preconditions import need_met
from mainstay.foundation.api.problems import Problem
from mainstay.observe.checks.models import Check, CheckState
from mainstay.respond.delivery.models import Channel

HOOK = {"name": "hook", "webhook": {"url": "http://127.0.0.1:9999/hook"}}


@pytest.mark.django_db
def test_a_change_of_what_somebody_changed_meanwhile_is_refused() -> None:
    call = caller()
    made = call("POST", "/channels", HOOK)
    seen = made["ETag"]
    assert seen == call("GET", "/channels/hook")["ETag"]
    other = call("PUT", "/channels/hook", {**HOOK, "paused": True}, If_Match=seen)
    assert other.status_code == 200
    assert other["ETag"] == call("GET", "/channels/hook")["ETag"] != seen
    for method, body in (("PUT", HOOK), ("DELETE", None)):
        late = call(method, "/channels/hook", body, If_Match=seen)
        assert late.status_code == 412
        assert late["Content-Type"] == "application/problem+json"
        assert late["ETag"] == other["ETag"]
        assert late.json()["detail"].startswith("Nothing was changed: it was changed since")
        assert Channel.objects.get(name="hook").paused
    assert call("DELETE", "/channels/hook", If_Match=other["ETag"]).status_code == 204
    assert call("PUT", "/channels/hook", HOOK, If_Match=other["ETag"]).status_code == 404


@pytest.mark.django_db
def test_an_etag_stands_for_what_people_wrote_secrets_included_and_not_for_how_it_stands() -> None:
    call, it = caller(), desk()
    hook = call("POST", "/channels", HOOK)["ETag"]
    secret = {**HOOK, "webhook": {"url": "http://127.0.0.1:9999/other"}}
    assert call("PUT", "/channels/hook", secret)["ETag"] != hook
    check = f"/checks/{it.check.pk}"
    before = call("GET", check)["ETag"]
    CheckState.objects.filter(pk=it.check.pk).update(health="down")
    assert call("GET", check).json()["status"] == "down"
    assert call("GET", check)["ETag"] == before
    call.post(f"{check}/pause")
    assert call("GET", check)["ETag"] != before
    assert call("POST", f"{check}/resume", If_Match=before).status_code == 412
    assert Check.objects.get(pk=it.check.pk).paused


@pytest.mark.django_db
def test_everything_that_can_be_replaced_can_be_held_as_it_was_seen() -> None:
    call, it = caller(), desk()
    for address in (
        "/applications/{application}",
        "/channels/{channel}",
        "/checks/{check_id}",
        "/routes/{route_id}",
        "/rules/{rules_id}",
        "/scrapes/{scrape}",
        "/teams/{team_id}",
    ):
        place = address.format(**it.places)
        shown = call("GET", place)
        spec: Any = shown.json().get("spec") or {"name": shown.json()["name"]}
        assert call("GET", place)["ETag"] == shown["ETag"], address
        assert call("PUT", place, spec, If_Match='"another"').status_code == 412, address
        assert call("PUT", place, spec, If_Match=shown["ETag"]).status_code == 200, address


@pytest.mark.django_db
def test_what_has_no_etag_is_never_as_somebody_has_seen_it() -> None:
    call, it = caller(), desk()
    person = f"/users/{it.user.pk}"
    assert "ETag" not in call("GET", person)
    assert call("PATCH", person, {"name": "Lee L."}, If_Match='"seen"').status_code == 412
    assert call("PATCH", person, {"name": "Lee L."}, If_Match="*").status_code == 200
    assert call("POST", f"{person}/deactivate", If_Match='"seen"').status_code == 412


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("page_of", "key"),
    [
        ("application_edit", "application"),
        ("channel_edit", "channel"),
        ("check_edit", "check_id"),
        ("route_edit", "route_id"),
        ("scrape_edit", "scrape"),
        ("team", "team_id"),
    ],
)
def test_forms_hold_what_they_show_too(page_of: str, key: str) -> None:
    address = reverse(page_of, args=[desk().places[key]])
    html = page(signed_in(), address)
    inputs = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', html))
    assert inputs["seen"]
    late = signed_in().post(address, {"name": "x", "kind": inputs.get("kind", ""), "seen": "another"})
    assert late.status_code == 422


# RFC 9110, 8.8.3.2 and 13.1.1 to 13.1.2: headers, and whether what has the ETag "a" may be changed.
HELD = [
    ({}, True),
    ({"If-Match": "*"}, True),
    ({"If-Match": '"a"'}, True),
    ({"If-Match": '"b"'}, False),
    ({"If-Match": '"b", "a"'}, True),
    ({"If-Match": '"b","c,a" ,, "a"'}, True),
    ({"If-Match": '"b,a"'}, False),
    ({"If-Match": 'W/"a"'}, False),
    ({"If-Match": 'W/"b", "a"'}, True),
    ({"If-Match": '""'}, False),
    ({"If-None-Match": "*"}, False),
    ({"If-None-Match": '"a"'}, False),
    ({"If-None-Match": 'W/"a"'}, False),
    ({"If-None-Match": '"b"'}, True),
    ({"If-Match": '"a"', "If-None-Match": "*"}, False),
]


@pytest.mark.parametrize(("headers", "held"), HELD)
def test_preconditions_mean_what_http_says(headers: dict[str, str], held: bool) -> None:
    if held:
        need_met(headers, '"a"')
    else:
        with pytest.raises(Problem) as refused:
            need_met(headers, '"a"')
        assert refused.value.status == 412


@pytest.mark.parametrize("text", ["", "a", "'a'", '"a', 'w/"a"', '"a" "b"', '"b, a"', '*, "a"', '"a\n"'])
def test_a_precondition_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Problem) as refused:
        need_met({"If-Match": text}, '"a"')
    assert refused.value.status == 422
    assert refused.value.errors[0]["parameter"] == "If-Match"
