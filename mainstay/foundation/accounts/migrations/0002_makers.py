"""Tokens and one-time links know who made them. Of tokens that exist, the journal tells it."""

import django.db.models.deletion
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def from_journal(apps: Apps, _schema: BaseDatabaseSchemaEditor) -> None:
    """Set the makers of the tokens that exist; a token made by a token has the maker of that one."""
    tokens, people = apps.get_model("accounts", "Token").objects, apps.get_model("accounts", "User").objects
    made = apps.get_model("journal", "Entry").objects.filter(kind="token.created").order_by("id")
    actors = dict(made.values_list("subject", "actor"))
    for token in tokens.order_by("id"):
        kind, _, number = actors.get(f"token:{token.pk}", "").partition(":")
        if number.isdecimal() and kind == "user":
            token.maker = people.filter(pk=int(number)).first()
        elif number.isdecimal() and kind == "token":
            token.parent = tokens.filter(pk=int(number)).first()
            token.maker = token.parent and token.parent.maker
        token.save(update_fields=["maker", "parent"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("journal", "0003_marks_of_the_key")]

    operations = [
        migrations.AddField(
            model_name="token",
            name="maker",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tokens",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="token",
            name="parent",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="children", to="accounts.token"
            ),
        ),
        migrations.AddField(
            model_name="signinlink",
            name="maker",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="links_made",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunPython(from_journal, migrations.RunPython.noop),
    ]
