from django.db import migrations, models


def may_be_known(apps, schema_editor):
    """Of what waits already nobody can tell whether a worker that was killed has sent it."""
    rows = apps.get_model("delivery", "Delivery").objects.filter(status__in=("queued", "sending"))
    rows.update(tried_at=models.F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("delivery", "0002_urgency_and_groups")]

    operations = [migrations.RunPython(may_be_known, migrations.RunPython.noop)]
