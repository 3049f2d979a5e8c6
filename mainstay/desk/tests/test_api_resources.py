"""What the API does with each kind of thing, end to end."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from mainstay.desk.tests.desk import CHANNEL, CHECK, SECRET, caller, desk
from mainstay.foundation.accounts.models import Team, Token, User
from mainstay.foundation.accounts.permissions import PERMISSIONS, SELF_EDIT, STATUS_VIEW, Role
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.seal import seal_once
from mainstay.foundation.secrets import MASK, unseal_all
from mainstay.observe.checks.models import Check, CheckState, Downtime, Maintenance
from mainstay.respond.alerts.models import Alert, Silence
from mainstay.respond.delivery.models import Attempt, Channel, Delivery
from tests.parts import Target

pytestmark = pytest.mark.django_db


def edits() -> int:
    return Entry.objects.filter(kind__endswith=".edited").count()


# --- applications -------------------------------------------------------------------------------------------------


def test_an_application_is_created_read_replaced_and_removed() -> None:
    call = caller()
    made = call.post("/applications", {"name": "shop", "environments": [{"name": "production"}]}, 201)
    assert made["spec"]["environments"] == [{"name": "production", "url": ""}]
    assert call.get("/applications/shop") == made
    new = made["spec"] | {"name": "store", "tier": "critical", "components": [{"name": "db"}]}
    changed = call.put("/applications/shop", new)
    assert (changed["id"], changed["name"], changed["components"]) == (made["id"], "store", ["db"])
    assert call("GET", "/applications/shop").status_code == 404
    assert call("DELETE", "/applications/store").status_code == 204
    assert not Application.objects.exists()


@pytest.mark.parametrize(
    "what", ["applications/shop", "checks/{check}", "channels/ops", "routes/{route}", "rules/{rules}"]
)
def test_what_is_read_can_be_put_back_and_changes_nothing(what: str) -> None:
    found, call = desk(), caller()
    address = "/" + what.format(check=found.check.pk, route=found.route.pk, rules=found.places["rules_id"])
    before = call.get(address)
    edited = edits()
    assert call.put(address, before["spec"]) == before
    assert edits() == edited


def test_the_status_of_an_application_is_what_its_checks_add_up_to() -> None:
    desk()
    call = caller(Role.STAKEHOLDER)
    found = call.get("/applications/shop/status")
    assert found["status"] == "down"
    assert "storefront" in found["reason"]
    assert found["checks"] == {"down": 1, "unknown": 1}
    assert call.get("/status")["items"] == [found]


def test_uptime_is_measured_and_unknown_where_nothing_was_watched() -> None:
    at = now()
    desk()
    call = caller(Role.STAKEHOLDER)
    check = Check.objects.get(name="storefront")
    CheckState.objects.update(first_at=None)
    assert call.get("/applications/shop/uptime?days=7")["uptime"] is None
    CheckState.objects.filter(pk=check.pk).update(first_at=at - timedelta(minutes=60), last_at=at)
    Downtime.objects.create(
        check_ref=check,
        application=check.application,
        health="down",
        started_at=at - timedelta(minutes=30),
        ended_at=at - timedelta(minutes=15),
    )
    found = call.get("/applications/shop/uptime?days=7")
    assert found["decided_by"] == "critical"
    assert found["down_s"] == pytest.approx(900, abs=2)
    assert found["known_s"] == pytest.approx(3600, abs=2)
    assert found["uptime"] == pytest.approx(0.75, abs=0.01)
    assert len(found["by_day"]) == 7
    assert [row["check"] for row in found["checks"]] == ["nightly", "storefront"]
    assert found["from"] < found["to"]


# --- checks -------------------------------------------------------------------------------------------------------


def test_a_check_is_created_as_it_stands_in_a_file() -> None:
    desk()
    call = caller(Role.DEVELOPER)
    made = call.post("/checks", CHECK | {"application": "shop", "name": "api"}, 201)
    assert (made["application"], made["name"], made["kind"], made["every_s"]) == ("shop", "api", "http", 5)
    assert made["status"] == "unknown"
    assert made["spec"]["http"]["expect"] == {"status": 200}
    assert made["ping_url"] is None
    assert Entry.objects.get(kind="check.created", subject=f"check:{made['id']}").actor.startswith("token:")


def test_the_detail_of_a_check_tells_how_it_stands_and_why() -> None:
    found = desk()
    shown = caller().get(f"/checks/{found.check.pk}")
    assert (shown["status"], shown["reason"], shown["health"]) == ("down", "HTTP 503", "down")
    assert shown["last"]["health"] == "down"
    assert caller().get(f"/checks/{found.heartbeat.pk}")["ping_url"].startswith(f"{settings.BASE_URL}/ping/")


def test_no_secret_is_ever_shown() -> None:
    desk()
    call = caller()
    for address in ("/checks", "/channels", "/channels/ops", "/deliveries", "/journal", "/config/export"):
        answer = call("GET", address)
        assert answer.status_code == 200
        assert SECRET.encode() not in answer.content, address
    shown = call.get(f"/checks/{Check.objects.get(name='storefront').pk}")
    assert shown["spec"]["http"]["bearer"] == MASK
    assert call.get("/channels/ops")["spec"]["webhook"]["url"] == MASK


def test_a_mask_that_is_put_back_keeps_the_secret_and_another_value_replaces_it() -> None:
    found, call = desk(), caller()
    address = f"/checks/{found.check.pk}"
    spec = call.get(address)["spec"]

    def secret() -> Any:
        return unseal_all(Check.objects.get(pk=found.check.pk).config, settings.SECRET_KEY)["bearer"]

    call.put(address, spec | {"every": "7s"})
    assert secret() == SECRET
    spec["http"]["bearer"] = "another"
    call.put(address, spec)
    assert secret() == "another"
    del spec["http"]["bearer"]
    call.put(address, spec)
    assert "bearer" not in Check.objects.get(pk=found.check.pk).config

    channel = call.get("/channels/ops")["spec"]
    call.put("/channels/ops", channel | {"paused": True})
    config = unseal_all(Channel.objects.get().config, settings.SECRET_KEY)
    assert SECRET in config["url"]


def test_a_mask_where_no_secret_is_stored_is_refused() -> None:
    found, call = desk(), caller()
    body = CHECK | {"application": "shop", "name": "x", "http": {"url": "http://127.0.0.1/", "bearer": MASK}}
    assert call.expect(422, "POST", "/checks", body)["errors"][0]["pointer"] == "/http/bearer"
    spec = call.get(f"/checks/{found.check.pk}")["spec"]
    spec["http"]["secret_headers"] = {"X-Key": MASK}
    assert (
        call.expect(422, "PUT", f"/checks/{found.check.pk}", spec)["errors"][0]["pointer"]
        == "/http/secret_headers/X-Key"
    )
    body = {"name": "x", "http": {"url": "http://127.0.0.1/", "bearer": MASK}}
    assert call.expect(422, "POST", "/checks/try", body)


def test_a_check_stays_with_its_application() -> None:
    found, call = desk(), caller()
    spec = call.get(f"/checks/{found.check.pk}")["spec"]
    assert call.put(f"/checks/{found.check.pk}", spec | {"application": "shop"})
    refused = call.put(f"/checks/{found.check.pk}", spec | {"application": "other"}, 422)
    assert refused["errors"][0]["pointer"] == "/application"


def test_pausing_stops_and_resuming_starts_anew() -> None:
    found, call = desk(), caller(Role.SUPPORT)
    assert call.post(f"/checks/{found.check.pk}/pause")["status"] == "paused"
    assert Alert.objects.get(pk=found.alert.pk).ended_at is not None
    assert call.post(f"/checks/{found.check.pk}/pause")["paused"] is True
    assert call.post(f"/checks/{found.check.pk}/resume")["status"] == "unknown"
    assert Entry.objects.filter(kind__in=["check.paused", "check.resumed"]).count() == 2


def test_a_removed_check_is_gone_with_its_results_and_its_alert_is_over() -> None:
    found, call = desk(), caller()
    assert call("DELETE", f"/checks/{found.check.pk}").status_code == 204
    assert call("GET", f"/checks/{found.check.pk}/results").status_code == 404
    shown = call.get(f"/alerts/{found.alert.pk}")
    assert (shown["state"], shown["check"]) == ("resolved", None)


def test_results_and_pings_come_newest_first() -> None:
    found, call = desk(), caller()
    (result,) = call.get(f"/checks/{found.check.pk}/results")["items"]
    assert (result["health"], result["code"], result["duration_s"]) == ("down", 503, 0.2)
    (ping,) = call.get(f"/checks/{found.heartbeat.pk}/pings")["items"]
    assert (ping["kind"], ping["body"]) == ("success", "fine")


def test_a_check_is_tried_without_being_stored() -> None:
    desk()
    call, target = caller(), Target()
    before = Entry.objects.count()
    target.start()
    try:
        body = {"name": "x", "http": {"url": f"http://127.0.0.1:{target.port}/"}, "timeout": "2s"}
        up = call.post("/checks/try", body)
        target.down.add("")
        down = call.post("/checks/try", body)
    finally:
        target.stop()
    assert (up["health"], up["code"], up["message"]) == ("up", 200, "")
    assert up["phases"]["connect_s"] >= 0
    assert (down["health"], down["code"]) == ("down", 500)
    assert "500" in down["message"]
    assert Check.objects.count() == 2
    assert Entry.objects.count() == before
    assert call.post("/checks/try", {"name": "x", "heartbeat": {"every": "1h", "grace": "5m"}}, 422)


# --- maintenance, silences, routes ---------------------------------------------------------------------------------


def test_maintenance_is_announced_shown_and_called_off() -> None:
    desk()
    call, at = caller(Role.SUPPORT), now()
    made = call.post(
        "/maintenance",
        {
            "name": "Deploy",
            "application": "shop",
            "starts_at": (at - timedelta(minutes=1)).isoformat(),
            "ends_at": (at + timedelta(hours=1)).isoformat(),
        },
        201,
    )
    assert (made["state"], made["application"]) == ("open", "shop")
    assert {row["status"] for row in call.get("/checks")["items"]} == {"maintenance"}
    assert call.post(f"/maintenance/{made['id']}/cancel")["state"] == "cancelled"
    assert call.post(f"/maintenance/{made['id']}/cancel")["state"] == "cancelled"
    nightly = call.post("/maintenance", {"name": "Nightly", "cron": "0 3 * * *", "duration": "2h"}, 201)
    assert nightly["duration_s"] == 7200
    assert nightly["next_start"] is not None
    current = call.get("/maintenance?current=true")["items"]
    assert [row["name"] for row in current] == ["Nightly", "Restart"]
    assert [row["id"] for row in call.get("/maintenance?current=false")["items"]] == [made["id"]]
    assert Maintenance.objects.count() == 3


def test_an_alert_is_taken_given_back_and_explains_its_decision() -> None:
    found, call = desk(), caller(Role.SUPPORT)
    address = f"/alerts/{found.alert.pk}"
    shown = call.get(address)
    assert (shown["state"], shown["decision"], shown["paged_channels"]) == ("firing", "first_page", ["ops"])
    assert shown["decided"]["page"] is True
    assert all(step["passed"] for step in shown["decided"]["steps"])
    taken = call.post(f"{address}/acknowledge", {"note": "on it"})
    assert (taken["state"], taken["note"]) == ("acknowledged", "on it")
    assert "has it already" in call.post(f"{address}/acknowledge", status=409)["detail"]
    assert call.post(f"{address}/unacknowledge")["state"] == "firing"
    assert call.post(f"{address}/unacknowledge", status=409)
    assert Delivery.objects.filter(event="acknowledge").count() == 1
    assert call.post(f"{address}/acknowledge")["note"] == ""


def test_a_silence_is_made_for_a_time_and_ended_early() -> None:
    desk()
    call = caller(Role.SUPPORT)
    made = call.post("/silences", {"match": {"check": "storefront"}, "duration": "2h", "comment": "being mended"}, 201)
    assert made["state"] == "active"
    explained = call.post("/routes/explain", {"labels": {"severity": "critical", "check": "storefront"}})
    assert (explained["page"], explained["code"]) == (False, "silenced")
    assert call.post(f"/silences/{made['id']}/end")["state"] == "ended"
    assert [row["id"] for row in call.get("/silences?current=false")["items"]] == [made["id"]]
    for wrong in (
        {"match": {}, "duration": "1h", "comment": "x"},
        {"match": {"a": "b"}, "comment": "x"},
        {"match": {"a": "b"}, "duration": "1h", "ends_at": "2030-01-01T00:00:00Z", "comment": "x"},
        {"match": {"a": "b"}, "duration": "1h", "comment": " "},
        {"match": {"a": "b"}, "ends_at": "2020-01-01T00:00:00Z", "comment": "x"},
    ):
        call.post("/silences", wrong, 422)
    assert Silence.objects.count() == 2


def test_a_route_is_written_tried_and_explained() -> None:
    desk()
    call = caller(Role.DEVOPS)
    hours = {"days": ["mon"], "from": "08:00", "to": "18:00", "timezone": "Europe/Berlin"}
    made = call.post("/routes", {"match": {"team": ["a", "b"]}, "notify": ["ops"], "hours": hours}, 201)
    assert made["spec"]["hours"] == hours
    assert made["matches"] == "team is a or b"
    first = call.put(f"/routes/{made['id']}", made["spec"] | {"position": 1, "remind_every": "10m"})
    assert (first["position"], first["spec"]["remind_every"]) == (1, "10m")
    monday, sunday = "2026-03-02T10:00:00Z", "2026-03-01T10:00:00Z"
    explained = call.post("/routes/explain", {"labels": {"team": "a"}, "at": monday})
    assert (explained["page"], explained["channels"]) == (True, ["ops"])
    assert explained["steps"][-1]["passed"]
    assert call.post("/routes/explain", {"labels": {"team": "a"}, "at": sunday})["code"] == "outside_hours"
    assert call.post("/routes", {"notify": ["nobody"]}, 422)["errors"][0]["pointer"] == "/notify"
    assert call("DELETE", f"/routes/{made['id']}").status_code == 204


def test_rules_are_written_as_in_a_rule_file_and_mistakes_are_told_with_their_place() -> None:
    desk()
    call = caller(Role.DEVOPS)
    rule = {"alert": "Slow", "expr": "latency > 1", "for": "5m", "labels": {"severity": "warning"}}
    made = call.post("/rules", {"name": "more", "interval": "30s", "rules": [rule]}, 201)
    assert made["spec"]["rules"][0]["for"] == "5m"
    assert [(one["name"], one["health"], one["instances"]) for one in made["rules"]] == [("Slow", "unknown", [])]
    wrong = call.post("/rules", {"name": "wrong", "rules": [rule, rule | {"expr": "sum by ("}]}, 422)
    assert wrong["errors"][0]["pointer"] == "/rules/1/expr"
    assert call.post("/rules", {"name": "more", "rules": [rule]}, 409)["errors"][0]["pointer"] == "/name"
    assert call("DELETE", f"/rules/{made['id']}").status_code == 204


# --- delivery -----------------------------------------------------------------------------------------------------


def test_a_test_message_is_a_delivery_to_follow() -> None:
    desk()
    call = caller(Role.DEVOPS)
    made = call.post("/channels/ops/test", status=201)
    assert (made["event"], made["status"], made["alert"]) == ("test", "queued", None)
    row = Delivery.objects.get(pk=made["id"])
    Attempt.objects.create(delivery=row, at=now(), duration_s=0.5, outcome="retry", answer="HTTP 500")
    shown = call.get(f"/deliveries/{made['id']}")
    assert shown["message"]["title"] == "Test message from Mainstay"
    assert [one["outcome"] for one in shown["tries"]] == ["retry"]


def test_a_waiting_delivery_is_tried_at_once_and_a_delivered_one_is_not() -> None:
    found, call = desk(), caller(Role.SUPPORT)
    later = now() + timedelta(hours=1)
    Delivery.objects.filter(pk=found.delivery.pk).update(due_at=later)
    assert call.post(f"/deliveries/{found.delivery.pk}/retry")["due_at"] < later.isoformat()
    Delivery.objects.filter(pk=found.delivery.pk).update(status="delivered")
    assert "delivered" in call.post(f"/deliveries/{found.delivery.pk}/retry", status=409)["detail"]


def test_deliveries_are_found_by_status_channel_and_alert() -> None:
    found, call = desk(), caller()
    number = found.delivery.pk
    for query in ("status=queued", "status=waiting", "channel=ops", f"alert={found.alert.pk}"):
        assert [row["id"] for row in call.get(f"/deliveries?{query}")["items"]] == [number], query
    for query in ("status=delivered", "channel=none", "alert=999"):
        assert call.get(f"/deliveries?{query}")["items"] == [], query


def test_a_channel_keeps_its_name() -> None:
    desk()
    call = caller(Role.DEVOPS)
    assert call.put("/channels/ops", CHANNEL | {"name": "other"}, 422)["errors"][0]["pointer"] == "/name"
    assert call.post("/channels", CHANNEL, 409)
    assert call("DELETE", "/channels/ops").status_code == 204
    assert Delivery.objects.get().status == "withdrawn"


# --- the journal --------------------------------------------------------------------------------------------------


def test_the_journal_is_found_by_what_it_is_about_what_happened_who_did_it_and_when() -> None:
    found, call, at = desk(), caller(), now()
    begin, end = (at - timedelta(hours=1)).isoformat(), (at + timedelta(hours=1)).isoformat()

    def kinds(query: str) -> set[str]:
        return {row["kind"] for row in call.get(f"/journal?{query}".replace("+", "%2B"))["items"]}

    assert kinds(f"subject=check:{found.check.pk}") == {"check.created"}
    assert kinds("kind=alert.paged") == {"alert.paged"}
    assert kinds("kind=alert") == {"alert.fired", "alert.paged"}
    assert kinds("kind=nothing") == set()
    assert "check.created" in kinds("application=shop")
    assert kinds("application=none") == set()
    assert kinds("actor=program:alerts") == {"alert.fired", "alert.paged"}
    assert kinds("q=STOREFRONT") >= {"check.created", "alert.fired"}
    assert kinds(f"from={end}") == kinds(f"to={begin}") == set()
    assert kinds(f"from={begin}&to={end}&kind=team") == {"team.created"}
    (entry,) = call.get("/journal?kind=check.created&q=storefront")["items"]
    assert entry["sentence"].startswith("shop/storefront was added")


def test_a_search_of_the_journal_reads_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from mainstay.foundation.journal import api

    desk()
    call = caller()
    monkeypatch.setattr(api, "SEARCHED_AT_ONCE", 3)
    found, cursor, pages = [], "", 0
    while True:
        page = call.get(f"/journal?q=storefront&limit=2&cursor={cursor}")
        found += [row["id"] for row in page["items"]]
        pages += 1
        if page["next"] is None:
            break
        cursor = page["next"]
    monkeypatch.undo()
    assert found == [row["id"] for row in call.get("/journal?q=storefront")["items"]]
    assert pages > 2


def test_the_chain_is_verified_and_names_its_head() -> None:
    desk()
    call = caller()
    seal_once(now())
    found = call.get("/journal/verify")
    assert found["proven"] is True
    assert found["entries"] == Entry.objects.count()
    assert call.get(f"/journal/verify?expected_head={found['head']}")["proven"] is True
    other = call.get(f"/journal/verify?expected_head={'0' * 64}")
    assert other["proven"] is False
    assert "expected head" in other["problem"]
    declared = {row["name"]: row for row in call.get("/journal/kinds")["items"]}
    assert {"name": "health", "type": "str"} in declared["check.changed"]["fields"]


# --- people -------------------------------------------------------------------------------------------------------


def test_a_person_is_added_edited_invited_and_deactivated() -> None:
    desk()
    call = caller()
    made = call.post("/users", {"email": "Kim@Example.com", "role": "developer", "time_zone": "Europe/Berlin"}, 201)
    assert (made["email"], made["active"]) == ("kim@example.com", True)
    address = f"/users/{made['id']}"
    assert call.post("/users", {"email": "kim@example.com", "role": "support"}, 409)
    assert call.post("/users", {"email": "kim", "role": "support"}, 422)["errors"][0]["pointer"] == "/email"
    changed = call.expect(200, "PATCH", address, {"role": "devops", "name": "Kim"})
    assert (changed["role"], changed["name"], changed["time_zone"]) == ("devops", "Kim", "Europe/Berlin")
    link = call.post(f"{address}/sign-in-link", status=201)
    assert link["url"].startswith(f"{settings.BASE_URL}/sign-in/")
    assert call.post(f"{address}/deactivate")["active"] is False
    assert call.post(f"{address}/deactivate")["active"] is False
    assert call.post(f"{address}/sign-in-link", status=409)
    assert [row["id"] for row in call.get("/users?active=false")["items"]] == [made["id"]]
    assert [row["email"] for row in call.get("/users?role=support&q=LEE")["items"]] == ["lee@example.com"]


def test_a_reactivated_person_has_their_role_again_and_gets_a_link() -> None:
    here = desk()
    call, address = caller(), f"/users/{here.user.pk}"
    call.post(f"{address}/deactivate")
    again = call.post(f"{address}/reactivate")
    assert (again["active"], again["role"]) == (True, "support")
    assert call.post(f"{address}/reactivate")["active"] is True
    facts = Entry.objects.filter(subject=f"user:{here.user.pk}").order_by("pk").values_list("kind", flat=True)
    assert list(facts)[-2:] == ["user.deactivated", "user.reactivated"]
    assert call.post(f"{address}/sign-in-link", status=201)


def test_the_last_administrator_stays() -> None:
    desk()
    call, admin = caller(), User.objects.get(role="admin")
    assert call.post(f"/users/{admin.pk}/deactivate", status=422)
    assert call.expect(422, "PATCH", f"/users/{admin.pk}", {"role": "support"})["errors"][0]["pointer"] == "/role"
    refused = call.expect(422, "PATCH", f"/users/{admin.pk}", {"name": None, "time_zone": None})["errors"]
    assert [one["pointer"] for one in refused] == ["/name", "/time_zone"]
    assert {one["detail"] for one in refused} == {"must not be null; leave it out and it stays as it is"}


def test_a_team_is_made_of_people_who_are_there() -> None:
    desk()
    call = caller()
    made = call.post("/teams", {"name": "Core", "members": ["LEE@example.com"]}, 201)
    assert made["members"] == ["lee@example.com"]
    wrong = call.post("/teams", {"name": "New", "members": ["lee@example.com", "no@example.com"]}, 422)
    assert wrong["errors"][0]["pointer"] == "/members/1"
    assert call.put(f"/teams/{made['id']}", {"name": "Core"})["members"] == []
    call.put("/applications/shop", {"name": "shop", "owner": "Core"})
    assert "shop" in call.expect(409, "DELETE", f"/teams/{made['id']}")["detail"]
    call.put("/applications/shop", {"name": "shop"})
    assert call("DELETE", f"/teams/{made['id']}").status_code == 204
    assert Team.objects.count() == 1


def test_a_token_is_shown_once_works_and_can_be_revoked() -> None:
    call = caller()
    made = call.post("/tokens", {"name": "ci", "role": "support"}, 201)
    assert made["token"].startswith(made["hint"])
    fresh = type(call)(made["token"])
    assert fresh.get("/me")["role"] == "support"
    listed = call.get("/tokens")["items"]
    assert made["token"] not in str(listed)
    assert [row["state"] for row in listed] == ["usable", "usable"]
    assert call.post(f"/tokens/{made['id']}/revoke")["state"] == "revoked"
    assert fresh("GET", "/me").status_code == 401
    assert Token.objects.count() == 2
    for wrong in (
        {"name": "", "role": "support"},
        {"name": "x", "role": "root"},
        {"name": "x", "role": "support", "expires_at": "2020-01-01T00:00:00Z"},
    ):
        call.post("/tokens", wrong, 422)


def test_everyone_can_see_what_they_may_do() -> None:
    shown = caller(Role.STAKEHOLDER).get("/me")
    assert shown["permissions"] == [STATUS_VIEW.name, SELF_EDIT.name]
    roles = {row["name"]: row["permissions"] for row in caller(Role.SUPPORT).get("/roles")["items"]}
    assert set(roles["admin"]) == {one.name for one in PERMISSIONS}


# --- configuration ------------------------------------------------------------------------------------------------

FILE = "applications:\n  - name: shop2\n    checks:\n      - {name: web, http: {url: 'http://127.0.0.1:1/'}}\n"


def test_a_file_is_planned_applied_and_applied_again_without_change() -> None:
    desk()
    call = caller(Role.DEVOPS)

    def send(what: str) -> Any:
        answer = call("POST", f"/config/{what}?file=shop2.yaml", FILE.encode(), content_type="application/yaml")
        assert answer.status_code == 200, answer.content
        return answer.json()

    planned = send("plan")
    assert [(one["verb"], one["kind"], one["name"]) for one in planned["changes"]] == [
        ("add", "application", "shop2"),
        ("add", "check", "shop2/web"),
    ]
    assert not Application.objects.filter(name="shop2").exists()
    assert send("apply")["applied"] is True
    assert Application.objects.get(name="shop2").managed_by == "shop2.yaml"
    assert send("apply")["changes"] == []
    again = call.post("/config/apply", {"text": FILE, "file": "shop2.yaml"})
    assert again["changes"] == []


def test_the_mistakes_of_a_file_have_line_and_column() -> None:
    call = caller(Role.DEVOPS)
    answer = call.post("/config/apply", {"text": "applications:\n  - name: shop\n    colour: red\n"}, 422)
    (mistake,) = answer["errors"]
    assert (mistake["line"], mistake["path"]) == (3, "applications[shop].colour")
    assert not Application.objects.exists()


def test_a_file_cannot_read_the_servers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    text = "channels:\n  - {name: out, webhook: {url: 'http://127.0.0.1:1/${A_SECRET}'}}\n"
    answer = caller(Role.DEVOPS)("POST", "/config/apply", {"text": text})
    assert answer.status_code == 422
    assert b"hunter2" not in answer.content
    assert not Channel.objects.exists()


def test_an_export_can_be_applied_and_changes_nothing() -> None:
    desk()
    call = caller(Role.DEVOPS)
    answer = call("GET", "/config/export")
    assert answer["Content-Type"].startswith("application/yaml")
    planned = call("POST", "/config/plan", answer.content, content_type="application/yaml")
    assert planned.status_code == 200, planned.content
    assert {change["verb"] for change in planned.json()["changes"]} <= {"keep"}
