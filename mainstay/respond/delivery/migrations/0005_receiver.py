from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0004_pages_sent_of_late"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="receiver",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
    ]
