"""Entries and seals carry marks of the key, and facts are stored as the text that is hashed.

What was sealed before is sealed anew by the worker, so a head that was noted before is not in the new chain.
"""

from django.db import migrations, models

import mainstay.foundation.journal.stored
from mainstay.foundation.journal.stored import mark_of
from mainstay.foundation.journal.triggers import statements

AT_ONCE = 2_000
MARKED = ("at", "kind", "subject", "subject_name", "application", "actor", "actor_name")


def drop_triggers(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    for statement in statements(vendor).values():
        name, table = (statement.split()[place] for place in (2, statement.split().index("ON") + 1))
        on = f" ON {table}" if vendor == "postgresql" else ""
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")


def mark(apps, schema_editor):
    entries, seals = apps.get_model("journal", "Entry").objects, apps.get_model("journal", "Seal").objects
    entries.exclude(seal=None).update(seal=None)
    seals.update(previous=None)
    seals.all().delete()
    last = 0
    columns = ("id", *MARKED)
    cursor = schema_editor.connection.cursor()
    while found := list(entries.filter(id__gt=last).order_by("id").values_list(*columns)[:AT_ONCE]):
        last = found[-1][0]
        cursor.execute("SELECT id, facts FROM journal_entry WHERE id >= %s AND id <= %s", [found[0][0], last])
        facts = dict(cursor.fetchall())
        marks = [(mark_of(*row[1:], facts[row[0]]), row[0]) for row in found]
        cursor.executemany("UPDATE journal_entry SET mark = %s WHERE id = %s", marks)


def create_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for statement in statements(schema_editor.connection.vendor).values():
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("journal", "0002_append_only")]
    operations = [
        migrations.RunPython(drop_triggers, migrations.RunPython.noop),
        migrations.AddField("seal", "mac", models.BinaryField(max_length=32, null=True)),
        migrations.AddField("entry", "mark", mainstay.foundation.journal.stored.MarkField(max_length=40, null=True)),
        migrations.AlterField("entry", "facts", mainstay.foundation.journal.stored.FactsField(default=dict)),
        migrations.RunPython(mark, migrations.RunPython.noop),
        migrations.RunPython(create_triggers, migrations.RunPython.noop),
    ]
