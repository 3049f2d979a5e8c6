"""Idempotency-Key: what was done once is not done again, however fast it is asked, and whatever dies meanwhile."""

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, connections

from mainstay.desk.tests.desk import Caller, caller, desk
from mainstay.foundation.accounts.models import Token
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.api import idempotency
from mainstay.foundation.api.models import IdempotentRequest
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.observe.checks.api import checks

SHOP = {"name": "shop"}


def once(call: Caller, key: str, address: str = "/applications", body: Any = SHOP, method: str = "POST") -> Any:
    return call(method, address, body, Idempotency_Key=key)


@pytest.mark.django_db
def test_a_repetition_gets_the_first_answer_and_changes_nothing() -> None:
    call, key = caller(), str(uuid.uuid4())
    first = once(call, key)
    again = once(call, key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert again["Location"] == first["Location"]
    assert again["Content-Type"] == first["Content-Type"]
    assert Application.objects.count() == 1
    assert Entry.objects.filter(kind="application.created").count() == 1


@pytest.mark.django_db
def test_without_a_key_a_repetition_is_a_new_request() -> None:
    call = caller()
    assert call("POST", "/applications", SHOP).status_code == 201
    assert call("POST", "/applications", SHOP).status_code == 409


@pytest.mark.django_db
def test_the_same_key_for_another_request_is_refused() -> None:
    call = caller()
    once(call, "k")
    for address, body in (("/applications", {"name": "other"}), ("/teams", SHOP), ("/applications?x=1", SHOP)):
        answer = once(call, "k", address, body)
        assert answer.status_code == 422
        assert answer["Content-Type"] == "application/problem+json"
    assert Application.objects.count() == 1


@pytest.mark.django_db
def test_a_key_belongs_to_its_caller() -> None:
    assert once(caller(), "k").status_code == 201
    assert once(caller(), "k").status_code == 409, "the other caller's request runs, and the name is taken"


@pytest.mark.django_db
def test_a_refusal_is_an_answer_too() -> None:
    call = caller()
    desk()
    first = once(call, "k")
    assert first.status_code == 409
    Application.objects.all().delete()
    again = once(call, "k")
    assert again.status_code == 409
    assert again["Idempotency-Replayed"] == "true"


@pytest.mark.django_db
def test_who_may_not_do_a_thing_is_told_so_and_uses_up_no_key() -> None:
    assert once(caller(Role.STAKEHOLDER), "k").status_code == 403
    assert once(Caller(), "k").status_code == 401
    assert not IdempotentRequest.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    assert once(caller(), key).status_code == 422


@pytest.mark.django_db
def test_a_secret_in_an_answer_is_not_stored_in_the_clear_and_comes_again() -> None:
    call = caller()
    body = {"name": "ci", "role": "support"}
    first = once(call, "k", "/tokens", body)
    token = first.json()["token"]
    stored = bytes(IdempotentRequest.objects.get().body or b"")
    assert stored
    assert token.encode() not in stored
    assert once(call, "k", "/tokens", body).json()["token"] == token
    assert Token.objects.filter(name="ci").count() == 1


@pytest.mark.django_db
def test_a_failure_of_ours_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    call = caller()
    desk()
    body = {"name": "x", "http": {"url": "http://127.0.0.1:1/"}, "timeout": "1s"}

    def defect(*_: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as broken:
        broken.setattr(checks, "try_once", defect)
        assert once(call, "k", "/checks/try", body).status_code == 500
    assert once(call, "k", "/checks/try", body).status_code == 200
    again = once(call, "k", "/checks/try", body)
    assert again["Idempotency-Replayed"] == "true"


@pytest.mark.django_db(transaction=True)
def test_what_was_done_and_its_answer_are_committed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    call = caller()

    def away(*_: object) -> None:
        raise OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(idempotency, "_keep", away)
        assert once(call, "k").status_code == 503
    assert not Application.objects.exists(), "its answer could not be kept, so it was not done"
    assert once(call, "k").status_code == 201


@pytest.mark.django_db
def test_while_the_first_request_runs_a_second_is_told_to_wait() -> None:
    call = caller()
    once(call, "k")
    IdempotentRequest.objects.update(status=None, body=None)
    answer = once(call, "k")
    assert answer.status_code == 409
    assert answer["Retry-After"] == "1"


@pytest.mark.django_db
def test_what_a_killed_process_had_begun_can_be_done_after_a_while() -> None:
    call = caller()
    IdempotentRequest.objects.all().delete()
    once(call, "k")
    Application.objects.all().delete()
    IdempotentRequest.objects.update(
        status=None, body=None, created_at=now() - idempotency.CLAIM - timedelta(seconds=1)
    )
    assert once(call, "k").status_code == 201
    assert once(call, "k")["Idempotency-Replayed"] == "true"


@pytest.mark.django_db
def test_an_answer_is_forgotten_after_a_day_even_before_the_clean_up() -> None:
    call = caller()
    once(call, "k")
    IdempotentRequest.objects.update(created_at=now() - idempotency.KEPT - timedelta(seconds=1))
    assert once(call, "k", body={"name": "other"}).status_code == 201


@pytest.mark.django_db
def test_the_clean_up_deletes_what_is_older_than_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    at = now()
    for age_h in (1, 25, 26, 27):
        IdempotentRequest.objects.create(
            actor="user:1", key=str(age_h), fingerprint="", status=200, created_at=at - timedelta(hours=age_h)
        )
    monkeypatch.setattr(idempotency, "FORGOTTEN_AT_ONCE", 2)
    assert idempotency.forget(at) is True
    assert idempotency.forget(at) is False
    assert [row.key for row in IdempotentRequest.objects.all()] == ["1"]


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_acts_and_the_others_wait_or_get_its_answer() -> None:
    call, key, answers = caller(), str(uuid.uuid4()), []
    together = threading.Barrier(8)

    def send() -> None:
        try:
            together.wait(10)
            answers.append(once(call, key))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    statuses = sorted(answer.status_code for answer in answers)
    assert len(statuses) == 8
    assert set(statuses) <= {201, 409}
    done = [answer for answer in answers if answer.status_code == 201]
    assert len([answer for answer in done if "Idempotency-Replayed" not in answer]) == 1
    assert all("under way" in answer.json()["detail"] for answer in answers if answer.status_code == 409)
    assert Application.objects.count() == 1
    assert once(call, key)["Idempotency-Replayed"] == "true"


@pytest.mark.django_db(transaction=True)
def test_a_locked_database_leaves_no_half_done_claim_behind() -> None:
    call = caller()
    statements = 0

    def fail_later(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal statements
        if "catalog_application" in sql and sql.startswith("INSERT"):
            statements += 1
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail_later):
        assert once(call, "k").status_code == 503
    assert statements == 1
    assert issubclass(OperationalError, DatabaseError)
    assert not IdempotentRequest.objects.exists()
    assert once(call, "k").status_code == 201
