"""Sessions are stored under the digest of their key; those that exist go on."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from mainstay.foundation.accounts.sessions import stored_key


def to_digests(apps: Apps, _schema: BaseDatabaseSchemaEditor) -> None:
    """Replace each key by what it is stored under from now on."""
    for app, model in (("sessions", "Session"), ("usersessions", "UserSession")):
        rows = apps.get_model(app, model).objects
        for key in list(rows.values_list("session_key", flat=True)):
            rows.filter(session_key=key).update(session_key=stored_key(key))


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_makers"), ("sessions", "0001_initial"), ("usersessions", "0001_initial")]

    operations = [migrations.RunPython(to_digests)]
