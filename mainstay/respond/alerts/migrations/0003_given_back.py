"""Who gave an alert back while those who heard that it was taken do not know yet."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0002_fired_by_rules")]

    operations = [
        migrations.AddField(
            model_name="alert",
            name="given_back_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
    ]
