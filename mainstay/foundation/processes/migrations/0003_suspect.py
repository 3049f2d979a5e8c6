from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("processes", "0002_canary")]

    operations = [
        migrations.CreateModel(
            name="Suspect",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=20)),
                ("item", models.CharField(max_length=44)),
                ("version", models.CharField(max_length=64)),
                ("deaths", models.JSONField(default=list)),
                ("suspected_at", models.DateTimeField()),
                ("set_aside_at", models.DateTimeField(null=True)),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("kind", "item"), name="suspect_once")]},
        ),
    ]
