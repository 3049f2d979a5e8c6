"""Ping keys are stored encrypted, and looked up by their digest; so are those that a heartbeat's settings give."""

from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import mainstay.observe.checks.models
from mainstay.foundation.secrets import is_sealed, seal
from mainstay.observe.checks.models import key_digest, sealed_key


def seal_keys(apps: Apps, _schema: BaseDatabaseSchemaEditor) -> None:
    """Seal the keys that are there; a key that cannot be read becomes a new one."""
    checks = apps.get_model("checks", "Check").objects
    for row in checks.only("ping_key", "kind", "config").iterator(chunk_size=500):
        sealed = sealed_key(row.ping_key)
        given = row.config.get("key") if row.kind == "heartbeat" and isinstance(row.config, dict) else None
        config = row.config
        if isinstance(given, str) and not is_sealed(given):
            config = config | {"key": seal(given, settings.SECRET_KEY)}
        checks.filter(pk=row.pk).update(
            ping_sealed=sealed,
            ping_digest=key_digest(row.ping_key) if row.ping_key else f"unknown-{row.pk}",
            config=config,
        )


class Migration(migrations.Migration):
    dependencies = [("checks", "0003_second_chances")]

    operations = [
        migrations.AddField("check", "ping_sealed", models.TextField(default="")),
        migrations.AddField("check", "ping_digest", models.CharField(max_length=64, null=True)),
        migrations.RunPython(seal_keys),
        migrations.AlterField(
            "check", "ping_sealed", models.TextField(default=mainstay.observe.checks.models.sealed_key)
        ),
        migrations.AlterField("check", "ping_digest", models.CharField(max_length=64, unique=True)),
        migrations.RemoveField("check", "ping_key"),
    ]
