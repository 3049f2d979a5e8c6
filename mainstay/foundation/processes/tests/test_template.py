"""Children that begin as copies of the supervisor: what they have of it, what not, and when there are none."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mainstay.cli import COMMANDS
from mainstay.foundation.processes import template

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies: Linux only")
PATIENCE_S = 15.0
IN_A_COPY = """
import fcntl, os, signal, sys, time
from mainstay.foundation.processes.template import Copy
held = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(held, fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, lambda *_: print("taken for the supervisor"))
def act():
    {code}
copy = Copy(act, "mainstay web", [held])
{after}
"""


def run(tmp_path: Path, code: str, after: str = "sys.exit(copy.wait())") -> subprocess.CompletedProcess[str]:
    """Run a program that makes a copy of itself, which does `code`."""
    program = tmp_path / "program.py"
    program.write_text(IN_A_COPY.format(code=code, after=after))
    return subprocess.run(
        [sys.executable, str(program), str(tmp_path / "lock")],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "status"),
    [("return 3", 3), ("sys.exit(4)", 4), ("sys.exit()", 0), ("sys.exit('no')", 1), ("raise KeyboardInterrupt", 130)],
)
def test_a_copy_ends_with_the_status_that_the_program_would_have(tmp_path: Path, code: str, status: int) -> None:
    assert run(tmp_path, code).returncode == status


def test_a_copy_that_fails_says_where_and_never_goes_on_as_its_parent(tmp_path: Path) -> None:
    done = run(tmp_path, "print('once'); raise ValueError('broken')", "copy.wait(); print('parent'); sys.exit(7)")
    assert done.returncode == 7
    assert done.stdout.split() == ["once", "parent"]
    assert "ValueError: broken" in done.stderr


def test_a_copy_has_the_name_of_what_it_runs(tmp_path: Path) -> None:
    done = run(tmp_path, "print(open('/proc/self/cmdline').read().rstrip(chr(0))); return 0")
    assert done.stdout.strip() == "mainstay web"


def test_a_copy_reads_nothing_and_leads_a_session_of_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, "print(repr(sys.stdin.read()), os.getsid(0) == os.getpid()); return 0")
    assert done.stdout.strip() == "'' True"


def test_a_copy_takes_signals_as_a_program_does_not_as_the_supervisor(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "time.sleep(60)",
        "time.sleep(0.3); copy.terminate(); print(copy.wait(5)); print(copy.poll())",
    )
    assert done.stdout.split() == [str(-signal.SIGTERM), str(-signal.SIGTERM)]


def test_a_copy_does_not_hold_what_only_the_supervisor_may_hold(tmp_path: Path) -> None:
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(60)"
    program = tmp_path / "program.py"
    program.write_text(IN_A_COPY.format(code=stubborn, after="time.sleep(60)"))
    process = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    copy = int(process.stdout.readline())
    try:
        process.kill()
        process.wait(PATIENCE_S)
        with (tmp_path / "lock").open() as free:
            fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises when the copy still holds it
        os.kill(copy, 0)
    finally:
        os.kill(copy, signal.SIGKILL)
        process.stdout.close()


@pytest.mark.timing
def test_waiting_for_a_copy_has_an_end(tmp_path: Path) -> None:
    begin = time.monotonic()
    done = run(
        tmp_path,
        "time.sleep(60)",
        "import subprocess\ntry: copy.wait(0.2)\nexcept subprocess.TimeoutExpired: print('late')\ncopy.terminate()",
    )
    assert done.stdout.strip() == "late"
    assert time.monotonic() - begin < 10


ALONE = """
import os, sys, threading, time
os.environ["DJANGO_SETTINGS_MODULE"] = "mainstay.settings"
from mainstay.foundation.processes import template
{before}
try:
    template.load()
except template.CannotCopy as error:
    print("cannot:", error)
else:
    print("can", *[name for name in ("psycopg", "apprise", "requests") if name in sys.modules])
"""


def loaded(tmp_path: Path, before: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAINSTAY_", "DATABASE_URL"))}
    return subprocess.run(
        [sys.executable, "-c", ALONE.format(before=before)],
        env={**clean, "MAINSTAY_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=True,
    ).stdout.strip()  # fmt: skip


def test_what_is_shared_is_loaded_without_threads_connections_or_what_few_need(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == "can"


def test_a_process_with_threads_is_not_copied(tmp_path: Path) -> None:
    told = loaded(tmp_path, "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")
    assert told == "cannot: 2 threads run"


def test_a_process_with_a_connection_to_the_database_is_not_copied(tmp_path: Path) -> None:
    told = loaded(
        tmp_path, "import django; django.setup()\nfrom django.db import connection; connection.ensure_connection()"
    )
    assert told == "cannot: there is a connection to the database"


def test_without_copies_every_process_loads_everything_for_itself(tmp_path: Path) -> None:
    code = (
        "from mainstay.foundation.processes import supervise, template\n"
        "template.LOADED = ('no_such_module',)\n"
        "print(supervise.prepare([]))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAINSTAY_", "DATABASE_URL"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "MAINSTAY_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"
    assert (
        "every process loads everything for itself: ModuleNotFoundError: No module named 'no_such_module'"
        in done.stderr
    )


def test_a_copy_runs_what_the_command_runs() -> None:
    assert {role: COMMANDS[role].module for role in template.ROLES} == template.ROLES
