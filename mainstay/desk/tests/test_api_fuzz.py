"""The API against its own OpenAPI document: whatever is sent, no defect, and every answer is one that is described.

Generated from the document, so a new operation is included by itself. The examples are the same in every run.
"""

import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from mainstay.desk.tests.desk import Desk, caller
from mainstay.desk.tests.test_api_permissions import BODIES
from mainstay.foundation.clock import now
from mainstay.observe.checks.api import checks
from mainstay.observe.checks.spec import Common

EXAMPLES = 15
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
OPERATIONS = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
_there: dict[str, Any] = {}


@schema.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Name things that are there half of the time: what is not there is answered before anything happens."""
    if not path_parameters:
        return path_parameters
    resource = context.operation.path.split("/")[3].removesuffix("s")
    mapped = {}
    for name, value in path_parameters.items():
        real = _there.get(resource if name == "name" else name)
        mapped[name] = real if real is not None and zlib.crc32(str(value).encode()) % 2 else value
    return mapped


@schema.hook
def map_body(context: Any, body: Any) -> Any:
    """Half of the time, put one generated member into a body that is fine: a mere invention seldom is."""
    name = context.operation.definition.raw["operationId"]
    sample, chance = BODIES.get(name), zlib.crc32(repr(body).encode())
    if not isinstance(sample, dict) or not isinstance(body, dict) or chance % 2:
        return body
    members = sorted(body)
    chosen = members[chance // 2 % len(members)] if members else None
    return sample if chosen is None else sample | {chosen: body[chosen]}


@pytest.fixture
def token(shared_desk: Desk, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A desk with one of everything, and an administrator's token. No example leaves this host."""

    def seen(_spec: Common, _environment: object) -> dict[str, Any]:
        return {"health": "up", "message": "", "at": now(), "duration_s": 0, "code": 200, "phases": None, "facts": {}}

    monkeypatch.setattr(checks, "try_once", seen)
    # As Django's own test client does: the end of a request must not close the test's transaction.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    _there.update(shared_desk.places)
    yield caller().token
    _there.clear()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_every_answer_is_described_and_none_is_a_defect(operation: Any, token: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        with transaction.atomic():  # each example finds the desk as it was
            case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)
            transaction.set_rollback(True)

    send()
