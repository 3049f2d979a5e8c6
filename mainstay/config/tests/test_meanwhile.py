"""What somebody else did to a thing between its being read and its being changed, for each resource."""

from contextlib import suppress
from typing import Any

import pytest

from mainstay.config.apply import apply_text, plan_text
from mainstay.config.resources import resources
from mainstay.config.tests.examples import FILE, apply_examples, examples
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.catalog.models import Environment
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.refusal import Gone, Managed
from mainstay.foundation.resource import By, Resource
from mainstay.observe.checks.actions import put_check
from mainstay.respond.rules.models import Rule

pytestmark = [pytest.mark.django_db, pytest.mark.database]
KINDS = tuple(resources())
BY, OF_THE_FILE = By(COMMAND_LINE, now()), By(COMMAND_LINE, now(), FILE)


def save(resource: Resource[Any], spec: Any, by: By, row: Any) -> None:
    if resource.kind == "check":  # a check is put into its application
        put_check(row.application, spec, by.actor, by.at, existing=row, by_file=by.file)
    else:
        resource.save(spec, by, row)


def remove_all(resource: Resource[Any]) -> None:
    """Remove what may refer to these, and then these."""
    for one in reversed([*resources().values()]):
        if one is resource or one.order > resource.order:
            for row in one.rows():
                one.delete(row, OF_THE_FILE)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_removed_is_not_brought_back_by_who_read_it_before(kind: str) -> None:
    apply_examples()
    resource = resources()[kind]
    row = resource.rows()[0]
    spec = resource.read(row)
    remove_all(resource)
    told = Entry.objects.count()
    with pytest.raises(Gone, match="is not there any more"):
        save(resource, spec, OF_THE_FILE, row)
    assert not resource.rows().exists()
    assert Entry.objects.count() == told


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_removed_is_not_said_to_be_removed_twice(kind: str) -> None:
    apply_examples()
    resource = resources()[kind]
    row = resource.rows()[0]
    remove_all(resource)
    told = Entry.objects.count()
    with suppress(Gone):
        resource.delete(row, OF_THE_FILE)
    assert Entry.objects.count() == told


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_took_over_is_not_taken_from_it_by_who_read_it_before(kind: str) -> None:
    apply_examples()
    resource = resources()[kind]
    row = resource.rows()[0]
    spec = resource.read(row)
    row.managed_by = ""  # as it was when it was read
    with pytest.raises(Managed):
        save(resource, spec, BY, row)
    with pytest.raises(Managed):
        resource.delete(row, BY)
    assert resource.rows().get(pk=row.pk).managed_by == FILE


def test_what_cannot_be_read_is_written_anew_by_its_file() -> None:
    apply_examples()
    Environment.objects.update(url="no address")
    Rule.objects.filter(alerts=True).update(for_s=-5)
    resources()["route"].rows().update(times={"days": "no list"})
    planned = plan_text(examples(), FILE, COMMAND_LINE, now())
    assert [change.kind for change in planned.changes if change.matters] == ["application", "route", "rules"]
    assert apply_text(examples(), FILE, COMMAND_LINE, now()).applied
    assert plan_text(examples(), FILE, COMMAND_LINE, now()).changes_nothing
