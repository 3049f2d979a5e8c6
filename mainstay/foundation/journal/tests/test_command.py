"""`mainstay journal` as people and scripts run it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from mainstay.cli import main
from mainstay.foundation.accounts import facts
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal.command import time_of
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.seal import seal_once, verify
from mainstay.foundation.journal.write import Subject, write

pytestmark = pytest.mark.django_db
Captured = pytest.CaptureFixture[str]


def write_some(me: Actor, noon: datetime) -> None:
    with transaction.atomic():
        for number in range(5):
            at = noon + timedelta(hours=number)
            write(facts.TEAM_CREATED, Subject("team", number, f"=team {number}"), me, at)
        write(facts.TOKEN_CREATED, Subject("token", 1, "ci"), me, noon, role="admin", expires="never")


def output(arguments: list[str], capsys: Captured) -> str:
    assert main(["journal", *arguments]) == 0
    return capsys.readouterr().out


def test_a_journal_that_holds_says_so_with_its_head(me: Actor, noon: datetime, capsys: Captured) -> None:
    write_some(me, noon)
    seal_once(noon)
    said = output(["verify"], capsys)
    head = verify().head
    assert said.startswith("The journal holds: 6 entries in 1 seals are as they were sealed.")
    assert head in said
    assert output(["verify", "--head", head.upper()], capsys) == said
    found = json.loads(output(["verify", "--json"], capsys))
    assert (found["intact"], found["entries"], found["head"]) == (True, 6, head)


def test_an_altered_entry_is_named(me: Actor, noon: datetime, capsys: Captured) -> None:
    write_some(me, noon)
    seal_once(noon)
    victim = Entry.objects.order_by("id")[2]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'journal_entry'")
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP TRIGGER {name}")
        cursor.execute("UPDATE journal_entry SET actor_name = 'somebody else' WHERE id = %s", [victim.pk])
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = DEFAULT")
    assert main(["journal", "verify"]) == 1
    assert f"the journal does not hold: entry {victim.pk} was altered" in capsys.readouterr().err
    assert main(["journal", "verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["entry"] == victim.pk


def test_a_head_that_is_not_in_the_chain_fails(me: Actor, noon: datetime, capsys: Captured) -> None:
    write_some(me, noon)
    seal_once(noon)
    assert main(["journal", "verify", "--head", "0" * 64]) == 1
    assert "it was rewritten or cut" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["=team 0", "=team 1", "=team 2", "=team 3", "=team 4", "ci"]),
        (["--kind", "token"], ["ci"]),
        (["--kind", "team.created"], ["=team 0", "=team 1", "=team 2", "=team 3", "=team 4"]),
        (["--kind", "team.creat"], []),
        (["--subject", "team:3"], ["=team 3"]),
        (["--subject", "ci"], ["ci"]),
        (["--since", "2026-03-02T14:00Z", "--until", "2026-03-02T16:00"], ["=team 2", "=team 3"]),
        (["--since", "2026-03-02T15:00+01:00", "--kind", "team"], ["=team 2", "=team 3", "=team 4"]),
        (["--since", "1h"], []),
    ],
)
def test_filters_narrow_what_is_exported(
    filters: list[str], names: list[str], me: Actor, noon: datetime, capsys: Captured
) -> None:
    write_some(me, noon)
    lines = output(["export", *filters], capsys).splitlines()
    assert [json.loads(line)["subject_name"] for line in lines] == names


def test_show_tells_the_newest_last(me: Actor, noon: datetime, capsys: Captured) -> None:
    write_some(me, noon)
    lines = output(["show", "--limit", "2"], capsys).splitlines()
    assert lines == [
        "2026-03-02 16:00:00Z  Team =team 4 was added  command line · team.created",
        "2026-03-02 12:00:00Z  Token ci was created as admin, expires never  command line · token.created",
    ]
    (row,) = output(["show", "--limit", "1", "--json"], capsys).splitlines()
    assert json.loads(row)["facts"] == {"role": "admin", "expires": "never"}


def test_csv_has_a_header_and_no_cell_that_a_spreadsheet_would_run(me: Actor, noon: datetime, capsys: Captured) -> None:
    write_some(me, noon)
    rows = list(csv.DictReader(io.StringIO(output(["export", "--format", "csv"], capsys))))
    assert rows[0]["subject_name"] == "'=team 0"
    assert rows[0]["at"] == "2026-03-02T12:00:00Z"
    assert json.loads(rows[5]["facts"]) == {"role": "admin", "expires": "never"}
    assert {row["sealed"] for row in rows} == {"False"}


def test_an_export_is_streamed_in_chunks(me: Actor, noon: datetime, capsys: Captured) -> None:
    from mainstay.foundation.journal import command

    with transaction.atomic():
        for number in range(command.CHUNK + 5):
            write(facts.TEAM_CREATED, Subject("team", number, "t"), me, noon)
    lines = output(["export"], capsys).splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == command.CHUNK + 5
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--head", "12ab"],
        ["show", "--since", "yesterday"],
        ["show", "--limit", "0"],
        ["export", "--format", "xml"],
        [],
    ],
)
def test_wrong_usage_is_told(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["journal", *arguments])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_times_without_a_zone_are_utc_and_spans_reach_back() -> None:
    assert time_of("2026-08-01") == datetime(2026, 8, 1, tzinfo=UTC)
    assert abs(datetime.now(UTC) - timedelta(days=7) - time_of("7d")) < timedelta(minutes=1)
