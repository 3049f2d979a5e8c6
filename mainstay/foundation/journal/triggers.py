"""The triggers that make the journal append-only: which there are, and whether they are still in force."""

from importlib import import_module

from django.db import connection

_FIRST = import_module("mainstay.foundation.journal.migrations.0002_append_only")
_MARKED = {
    "sqlite": "CREATE TRIGGER journal_entry_marked BEFORE UPDATE OF mark ON journal_entry"
    f" BEGIN SELECT RAISE(ABORT, '{_FIRST.MESSAGE}'); END",
    "postgresql": "CREATE TRIGGER journal_entry_marked BEFORE UPDATE OF mark ON journal_entry"
    " FOR EACH ROW EXECUTE FUNCTION journal_append_only()",
}
_FUNCTION = f"BEGIN RAISE EXCEPTION '{_FIRST.MESSAGE}'; END"


def statements(vendor: str) -> dict[str, str]:
    """Return what makes each trigger, by its name."""
    made: list[str] = [*{"sqlite": _FIRST.sqlite, "postgresql": _FIRST.postgresql}[vendor](), _MARKED[vendor]]
    return {words[2]: statement for statement in made if (words := statement.split())[1] == "TRIGGER"}


def missing() -> list[str]:
    """Say of each trigger that is not as it was made, and of each that is not ours, what is wrong."""
    ours = statements(connection.vendor)
    there = _sqlite() if connection.vendor == "sqlite" else _postgresql(ours)
    found = [f"the trigger {name} is gone" for name in ours if name not in there]
    for name, made in there.items():
        if name not in ours:
            found.append(f"the trigger {name} is not one of Mainstay's")
        elif made != ours[name]:
            found.append(f"the trigger {name} was altered or disabled")
    return found


def _sqlite() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_master"
            " WHERE type = 'trigger' AND lower(tbl_name) IN ('journal_entry', 'journal_seal')"
        )
        return {name.decode(errors="replace"): sql.decode(errors="replace") for name, sql in cursor.fetchall()}


def _postgresql(ours: dict[str, str]) -> dict[str, str]:
    """Return the triggers; each that is in force and does what ours does, as we made it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.tgname, t.tgenabled IN ('O', 'A'), btrim(p.prosrc), p.proname, pg_get_triggerdef(t.oid)"
            " FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
            " WHERE NOT t.tgisinternal AND t.tgrelid IN (to_regclass('journal_entry'), to_regclass('journal_seal'))"
        )
        rows = cursor.fetchall()
    return {
        name: ours.get(name, "")
        if enabled and source == _FUNCTION and function == "journal_append_only" and _does(definition, ours.get(name))
        else ""
        for name, enabled, source, function, definition in rows
    }


def _does(definition: str, made: str | None) -> bool:
    """Tell whether PostgreSQL's own words for a trigger mean what we made: it writes the same with more brackets."""
    return made is not None and _bare(definition) == _bare(made)


def _bare(statement: str) -> str:
    words = statement.lower().replace("public.", "").translate(str.maketrans("", "", "()\"' \n"))
    return words.replace("::text", "")
