from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("checks", "0001_initial")]

    operations = [
        migrations.AddField("checkstate", "unusable", models.TextField(blank=True, default="")),
    ]
