from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("checks", "0002_checkstate_unusable")]

    operations = [
        migrations.AddField(
            model_name="checkstate",
            name="second_chances",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
