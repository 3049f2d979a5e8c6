from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("checks", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="checkstate",
            name="second_chances",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
