"""What this instance runs with. Nothing here can be changed; each line says where it is."""

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse

from mainstay import __version__
from mainstay.foundation import clock
from mainstay.foundation.accounts.access import needs
from mainstay.foundation.accounts.permissions import SETTINGS_VIEW
from mainstay.foundation.environment import VARIABLES, Environment
from mainstay.foundation.processes import beat
from mainstay.foundation.processes.models import Process
from mainstay.kit.live import live

LOW_DISK_BYTES = 1024**3


@needs(SETTINGS_VIEW, "GET")
def settings_page(request: HttpRequest) -> HttpResponse:
    """Show variables, processes, database, disk, retention, policy."""
    now = clock.now()
    environment: Environment = settings.ENVIRONMENT
    health = beat.health(now)
    total, free = _disk(environment.home)
    failing = [role for role, process in health.items() if process.status != "ok"]
    context: dict[str, Any] = {
        "now": now,
        "title": _title(failing),
        "variables": variables(os.environ),
        "version": __version__,
        "python": platform.python_version(),
        "python_path": sys.executable,
        "django": django.get_version(),
        "database": _database(),
        "home": environment.home,
        "disk_total": total,
        "disk_free": free,
        "disk_used_percent": (total - free) / total * 100 if total else 0,
        "disk_low": free < LOW_DISK_BYTES,
        "health": health,
        "processes": list(Process.objects.order_by("role", "host", "pid")[:200]),
        "silent_after": now - beat.SILENT_AFTER,
        "fingerprint": settings.INSTANCE,
        "key_source": "MAINSTAY_SECRET_KEY" if environment.secret_key else str(environment.secret_key_file),
        "environment": environment,
        "base_url": settings.BASE_URL,
        "place": "settings",
    }
    return live(request, "settings.html", context)


def _title(failing: list[str]) -> str:
    if not failing:
        return "All three processes run on time."
    if len(failing) == 1:
        return f"The {failing[0]} process is not running on time."
    return f"The {', '.join(failing[:-1])} and {failing[-1]} processes are not running on time."


def variables(environ: Any) -> list[dict[str, str]]:
    """Return each variable with what it is set to; of secrets only whether they are set."""
    found = []
    for variable in VARIABLES:
        given = environ.get(variable.name, "").strip()
        shown = "set, not shown" if given and variable.secret else given
        found.append(
            {
                "name": variable.name,
                "given": shown,
                "default": variable.default,
                "help": variable.help,
                "secret": "secret" if variable.secret else "",
            }
        )
    return found


def _disk(home: Path) -> tuple[int, int]:
    try:
        usage = shutil.disk_usage(home)
    except OSError:
        return 0, 0
    return usage.total, usage.free


def _database() -> dict[str, Any]:
    """Return kind, version, place and size of the database. The place names no user and no password."""
    known: dict[str, Any] = {"kind": connection.vendor, "version": "", "place": "", "bytes": None}
    try:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("SELECT sqlite_version()")
                known |= {
                    "kind": "SQLite",
                    "version": cursor.fetchone()[0],
                    "place": str(connection.settings_dict["NAME"]),
                }
                files = [Path(f"{known['place']}{end}") for end in ("", "-wal")]
                known["bytes"] = sum(file.stat().st_size for file in files if file.exists())
            elif connection.vendor == "postgresql":
                cursor.execute("SELECT current_setting('server_version'), pg_database_size(current_database())")
                version, size = cursor.fetchone()
                given = connection.settings_dict
                place = (
                    f"{given['HOST'] or 'local socket'}{':' if given['PORT'] else ''}{given['PORT']}/{given['NAME']}"
                )
                known |= {"kind": "PostgreSQL", "version": version, "place": place, "bytes": size}
    except (DatabaseError, OSError):
        known["version"] = "does not say"
    return known
