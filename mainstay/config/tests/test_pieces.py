"""A large file is applied in pieces: others get on meanwhile, and what was cut off is finished, once."""

import threading
from datetime import datetime, timedelta
from time import monotonic, sleep

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from mainstay.config import pieces
from mainstay.config.apply import Outcome, apply_text, finish_cut_off, plan_text
from mainstay.config.models import CLAIMED, Applying
from mainstay.config.pieces import SMALL
from mainstay.foundation.accounts.actions import create_user
from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.processes.notices import current
from mainstay.foundation.secrets import seal
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.models import Route

LATER = CLAIMED + timedelta(seconds=30)


def file(count: int, every: int = 60, *, needs: bool = False) -> str:
    lines = ["applications:", "  - name: shop", "    checks:"]
    for number in range(count):
        # Each needs the next one, so the order of the file is the reverse of the order in which they can be made.
        need = f", needs: [c{number + 1}]" if needs and number + 1 < count else ""
        secret = f", bearer: '${{TOKEN:-none}}-{number}'"
        http = f"{{url: 'http://127.0.0.1/{number}'{secret}}}"
        lines.append(f"      - {{name: c{number}, every: {every}s, http: {http}{need}}}")
    return "\n".join(lines) + "\n"


class Cut(BaseException):
    """The process is gone."""


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Cut the next apply off in the pause after so many pieces."""
    left: list[int] = []

    def pause(_s: float) -> None:
        if left:
            left[0] -= 1
            if left[0] == 0:
                left.clear()
                raise Cut

    monkeypatch.setattr(pieces, "sleep", pause)
    monkeypatch.setattr(pieces, "PIECE_S", 60.0)
    return left


def facts() -> list[str]:
    return list(Entry.objects.filter(kind__startswith="config.").order_by("id").values_list("kind", flat=True))


@pytest.mark.django_db
def test_a_large_file_is_applied_in_pieces_and_the_journal_has_its_beginning_and_end(
    me: Actor, noon: datetime, cut: list[int]
) -> None:
    assert apply_text(file(120, needs=True), "shop.yaml", me, noon).applied
    assert Check.objects.count() == 120
    assert Check.objects.get(name="c7").needs.get().name == "c8"
    assert facts() == ["config.begun", "config.applied"]
    assert Entry.objects.get(kind="config.begun").sentence() == (
        "Applying the file shop.yaml began: 121 changes, in pieces"
    )
    assert not Applying.objects.exists()
    assert apply_text(file(120, needs=True), "shop.yaml", me, noon).changes_nothing


@pytest.mark.django_db
def test_a_mistake_anywhere_in_a_large_file_changes_nothing(me: Actor, noon: datetime) -> None:
    text = file(120).replace("name: c119", "name: c119, severity: dreadful")
    assert not apply_text(text, "shop.yaml", me, noon).applied
    assert not Check.objects.exists()
    assert facts() == []
    assert not Applying.objects.exists()


@pytest.mark.django_db
def test_what_was_cut_off_is_told_and_finished_from_what_was_stored(me: Actor, noon: datetime, cut: list[int]) -> None:
    cut.append(1)
    with pytest.raises(Cut):
        apply_text(file(120), "shop.yaml", me, noon, environ={"TOKEN": "geheim", "OTHER": "x"})
    assert Check.objects.count() == 49  # and the application
    row = Applying.objects.get()
    assert (row.done, row.total) == (50, 121)
    assert "geheim" not in row.source
    assert [notice.title for notice in current(noon)] == ["shop.yaml is being applied: 50 of 121 changes are done."]
    assert not finish_cut_off(noon)  # its process may still be there
    cut_off = "Applying shop.yaml was cut off: 50 of 121 changes are done."
    assert [notice.title for notice in current(noon + LATER)] == [cut_off]
    assert finish_cut_off(noon + LATER)
    assert Check.objects.count() == 120
    assert checks.settings_of(Check.objects.get(name="c119")).bearer.get_secret_value() == "geheim-119"  # type: ignore[attr-defined]
    assert facts() == ["config.begun", "config.applied"]
    assert current(noon + LATER) == []
    assert not finish_cut_off(noon + LATER)


@pytest.mark.django_db
def test_what_was_cut_off_is_finished_though_the_clock_was_set_back_since(
    me: Actor, noon: datetime, cut: list[int]
) -> None:
    cut.append(1)
    with pytest.raises(Cut):
        apply_text(file(120), "shop.yaml", me, noon)
    assert finish_cut_off(noon - timedelta(hours=1))
    assert Check.objects.count() == 120
    assert not finish_cut_off(noon)


@pytest.mark.django_db
@pytest.mark.parametrize("stored", ["{", "[]", '{"text": 1, "values": []}'])
def test_what_cannot_be_finished_is_said_and_holds_up_no_other_apply(
    me: Actor, noon: datetime, cut: list[int], stored: str
) -> None:
    cut.append(1)
    with pytest.raises(Cut):
        apply_text(file(120), "shop.yaml", me, noon)
    Applying.objects.update(source=seal(stored, settings.SECRET_KEY))
    assert finish_cut_off(noon + LATER)
    assert not finish_cut_off(noon + 2 * LATER)
    assert "stopped after 50 of 121" in current(noon + LATER)[0].title
    assert apply_text("channels: [{name: ops, webhook: {url: 'http://127.0.0.1/'}}]", "other.yaml", me, noon).applied


@pytest.mark.django_db
def test_the_next_apply_finishes_what_was_cut_off_first(me: Actor, noon: datetime, cut: list[int]) -> None:
    cut.append(1)
    with pytest.raises(Cut):
        apply_text(file(120), "shop.yaml", me, noon)
    other = "channels: [{name: ops, webhook: {url: 'http://127.0.0.1/'}}]"
    assert apply_text(other, "other.yaml", me, noon + LATER).applied
    assert Check.objects.count() == 120
    assert facts() == ["config.begun", "config.applied", "config.applied"]


@pytest.mark.django_db
def test_an_apply_waits_for_another_and_then_says_who_is_at_it(
    me: Actor, noon: datetime, cut: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut.append(1)
    with pytest.raises(Cut):
        apply_text(file(120), "shop.yaml", me, noon)
    monkeypatch.setattr(pieces, "WAITS_S", 0.0)
    (problem,) = apply_text("applications: []", "other.yaml", me, noon).problems
    assert problem.detail == (
        "command line is applying shop.yaml, 50 of 121 changes are done. Try again when it is done."
    )


@pytest.mark.django_db
def test_one_that_only_was_planned_is_forgotten(me: Actor, noon: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise Cut

    monkeypatch.setattr("mainstay.config.apply.plan", gone)
    monkeypatch.setattr("mainstay.config.pieces.Claim.__exit__", lambda *_: None)
    with pytest.raises(Cut):
        apply_text(file(30), "shop.yaml", me, noon)
    assert not Applying.objects.get().source
    assert current(noon) == []
    assert not finish_cut_off(noon + LATER)
    assert not Applying.objects.exists()


@pytest.mark.django_db
def test_who_may_not_apply_any_more_does_not_have_it_finished(noon: datetime, cut: list[int]) -> None:
    person = create_user("kim@example.org", Role.DEVOPS, "Kim", COMMAND_LINE, noon)
    cut.append(1)
    with pytest.raises(Cut):
        apply_text(file(120), "shop.yaml", person.actor, noon)
    User.objects.filter(pk=person.pk).update(role=Role.STAKEHOLDER.value)
    assert finish_cut_off(noon + LATER)
    assert Check.objects.count() == 49
    assert facts() == ["config.begun", "config.stopped"]
    (notice,) = current(noon + LATER)
    assert notice.title == "Applying shop.yaml stopped after 50 of 121 changes."
    assert "The role stakeholder may not do this" in notice.detail
    assert not finish_cut_off(noon + LATER * 2)
    assert apply_text(file(120), "shop.yaml", COMMAND_LINE, noon + LATER).applied
    assert current(noon + LATER) == []


@pytest.mark.django_db
def test_what_people_changed_meanwhile_the_file_changes_back_and_what_blocks_it_is_told(
    me: Actor, noon: datetime, cut: list[int]
) -> None:
    cut.append(1)
    with pytest.raises(Cut):
        apply_text(file(120), "shop.yaml", me, noon)
    Check.objects.filter(name="c3").update(every_s=5)
    application = Application.objects.get()
    spec = checks.spec_of(Check.objects.get(name="c4")).model_copy(update={"name": "c119"})
    checks.put_check(application, spec, me, noon, by_file="other.yaml")
    assert finish_cut_off(noon + LATER)
    (notice,) = current(noon + LATER)
    assert "the check shop/c119 is managed by the file other.yaml" in notice.detail
    assert facts() == ["config.begun", "config.stopped"]
    Check.objects.get(name="c119").delete()
    assert apply_text(file(120), "shop.yaml", me, noon).applied
    assert Check.objects.get(name="c3").every_s == 60


@pytest.mark.django_db
def test_a_refusal_in_the_middle_takes_its_piece_back_and_says_how_far_it_came(
    me: Actor, noon: datetime, cut: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mainstay.foundation.refusal import Refused

    put = checks.put_check

    def refuse(*given: object, **more: object) -> Check:
        if Check.objects.count() == 70:
            raise Refused("not today", "every")
        return put(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("mainstay.observe.checks.actions.put_check", refuse)
    outcome = apply_text(file(120), "shop.yaml", me, noon)
    assert not outcome.applied
    said = [problem.shown("f") for problem in outcome.problems]
    assert said == [
        "f: 50 of 121 changes were made before that",
        "f:74:28: applications[shop].checks[c70].every: not today",
    ]
    assert Check.objects.count() == 49
    assert facts() == ["config.begun", "config.stopped"]


@pytest.mark.django_db
def test_two_finishers_do_each_piece_once(me: Actor, noon: datetime, cut: list[int]) -> None:
    cut.append(1)
    with pytest.raises(Cut):
        apply_text(file(120), "shop.yaml", me, noon)
    slow = pieces.take_over(noon + LATER)
    assert slow is not None
    assert pieces.take_over(noon + LATER) is None
    assert finish_cut_off(noon + LATER + LATER)
    with pytest.raises(pieces.Lost), transaction.atomic():
        slow._count(1)
    assert facts() == ["config.begun", "config.applied"]


@pytest.mark.django_db
def test_reading_what_is_configured_takes_as_many_queries_for_many_checks(
    me: Actor, noon: datetime, cut: list[int]
) -> None:
    counts = []
    for count in (5, 60):
        assert apply_text(file(count, needs=True), "shop.yaml", me, noon).applied
        with CaptureQueriesContext(connection) as found:
            assert plan_text(file(count, needs=True), "shop.yaml", me, noon).changes_nothing
        counts.append(len(found))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_routes_of_others_that_move_are_told_in_the_journal(me: Actor, noon: datetime) -> None:
    def routes(*names: str) -> str:
        return "".join(f"\n  - {{name: {name}, notify: [ops]}}" for name in names)

    channel = "channels: [{name: ops, webhook: {url: 'http://127.0.0.1/'}}]\n"
    assert apply_text(f"{channel}routes:{routes('a')}", "one.yaml", me, noon).applied
    assert apply_text(f"routes:{routes('z')}", "two.yaml", me, noon).applied
    assert apply_text(f"{channel}routes:{routes('a', 'b')}", "one.yaml", me, noon).applied
    assert list(Route.objects.order_by("position").values_list("name", flat=True)) == ["a", "b", "z"]
    entry = Entry.objects.get(kind="route.arranged")
    assert (entry.actor, entry.facts["moved"]) == (me.key, ["z"])


@pytest.mark.timing
@pytest.mark.django_db(transaction=True)
def test_others_write_while_a_large_file_is_applied(me: Actor, noon: datetime) -> None:
    waited: list[float] = []
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            begun = monotonic()
            with transaction.atomic():
                Revision.bump("somebody else")
            waited.append(monotonic() - begun)
            sleep(0.02)
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    outcomes: list[Outcome] = []
    try:
        outcomes.append(apply_text(file(300), "shop.yaml", me, noon))
    finally:
        done.set()
        thread.join()
    assert outcomes[0].applied
    assert SMALL < 300
    assert max(waited) < 2.0
