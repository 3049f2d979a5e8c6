"""The journal is append-only by the database's own word: no UPDATE but the sealing, no DELETE."""

from django.db import migrations

ENTRY, SEAL = "journal_entry", "journal_seal"
MESSAGE = "the journal is append-only"
FROZEN = ("id", "at", "kind", "subject", "subject_name", "application", "actor", "actor_name", "facts")


def sqlite() -> list[str]:
    changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in FROZEN)
    return [
        f"CREATE TRIGGER journal_entry_fixed BEFORE UPDATE ON {ENTRY}"
        f" WHEN OLD.seal_id IS NOT NULL OR {changed} BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
        f"CREATE TRIGGER journal_entry_kept BEFORE DELETE ON {ENTRY} BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
        f"CREATE TRIGGER journal_seal_fixed BEFORE UPDATE ON {SEAL} BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
        f"CREATE TRIGGER journal_seal_kept BEFORE DELETE ON {SEAL} BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
    ]


def postgresql() -> list[str]:
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in FROZEN)
    function = (
        "CREATE FUNCTION journal_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{MESSAGE}'; END $$"
    )
    call = "FOR EACH ROW {when} EXECUTE FUNCTION journal_append_only()"
    return [
        function,
        f"CREATE TRIGGER journal_entry_fixed BEFORE UPDATE ON {ENTRY} "
        + call.format(when=f"WHEN (OLD.seal_id IS NOT NULL OR {changed})"),
        f"CREATE TRIGGER journal_entry_kept BEFORE DELETE ON {ENTRY} " + call.format(when=""),
        f"CREATE TRIGGER journal_seal_fixed BEFORE UPDATE ON {SEAL} " + call.format(when=""),
        f"CREATE TRIGGER journal_seal_kept BEFORE DELETE ON {SEAL} " + call.format(when=""),
    ]


def create(apps, schema_editor):
    statements = {"sqlite": sqlite, "postgresql": postgresql}[schema_editor.connection.vendor]()
    for statement in statements:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("journal", "0001_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
