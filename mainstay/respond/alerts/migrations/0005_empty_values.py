"""An empty value meant a label that is there and empty; since it means a missing one, too, such rows keep to nothing.

Databases know no other way to say it: a silence that would cover every alert without the label must not come of it.
"""

from typing import Any

from django.db import migrations

NEITHER = {"=": [""], "!=": [""]}


def keep_to_nothing(apps: Any, editor: Any) -> None:
    """Let comparisons with an empty value match no label."""
    for app, name in (("alerts", "Silence"), ("checks", "Maintenance")):
        rows = apps.get_model(app, name).objects.using(editor.connection.alias)
        for row in rows.only("pk", "match").iterator():
            if isinstance(row.match, dict) and "" in row.match.values():
                match = {label: NEITHER if wanted == "" else wanted for label, wanted in row.match.items()}
                rows.filter(pk=row.pk).update(match=match)


class Migration(migrations.Migration):
    dependencies = [("alerts", "0004_held_by"), ("checks", "0003_second_chances")]

    operations = [migrations.RunPython(keep_to_nothing, migrations.RunPython.noop)]
