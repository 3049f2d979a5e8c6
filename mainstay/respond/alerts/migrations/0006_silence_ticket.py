from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0005_empty_values")]

    operations = [
        migrations.AddField(
            model_name="silence",
            name="ticket",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
    ]
