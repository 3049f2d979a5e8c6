"""What a start refuses, and how: one sentence and exit status 1; what it makes is private."""

import json
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.program import ROOT, Program, free_port, until

pytestmark = pytest.mark.slow


def mainstay(program: Program, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "mainstay", *arguments],
        env=program.environ(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def database(program: Program) -> Path:
    return program.home / "var" / "mainstay.sqlite3"


@pytest.mark.fault("R8", "S20")
def test_a_database_beside_another_key_is_refused_until_somebody_says_so(tmp_path: Path) -> None:
    program = Program(tmp_path / "program")
    program.command("prepare")
    shutil.rmtree(program.home / "var" / "keys")  # as after a restore of the database alone
    for arguments in (("up",), ("worker",)):
        done = mainstay(program, *arguments)
        assert done.returncode == 1
        assert "restore the file keys/secret.key (or MAINSTAY_SECRET_KEY)" in done.stderr
        assert "Traceback" not in done.stderr
    told = mainstay(program, "doctor")
    assert told.returncode == 1
    assert "✗ key and database: the present key does not open this database — restore the file" in told.stdout
    program.command("prepare", "--new-key")
    assert "✓ key and database" in mainstay(program, "doctor").stdout
    program.command("prepare")


@pytest.mark.fault("S9")
def test_what_it_makes_is_private_also_in_a_directory_that_is_not(tmp_path: Path) -> None:
    program = Program(tmp_path / "program", from_nothing=True)
    home = program.home / "var"
    home.mkdir(parents=True)
    home.chmod(0o755)
    before = os.umask(0o022)
    try:
        program.start()
        made = [path for path in home.rglob("*") if path.is_file()]
        assert database(program) in made
        assert [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    finally:
        os.umask(before)
        program.stop()
    assert f"chmod -R go-rwx {home}" in mainstay(program, "doctor").stdout


@pytest.mark.fault("R15")
@pytest.mark.parametrize("how", ["no database at all", "a page overwritten"])
def test_a_damaged_database_is_refused_in_a_sentence(tmp_path: Path, how: str) -> None:
    program = Program(tmp_path / "program")
    program.command("prepare")
    file = database(program)
    if how == "no database at all":
        file.write_bytes(b"not a database at all, but long enough to be looked at" * 200)
    else:
        with file.open("r+b") as handle:
            handle.seek(100)
            handle.write(b"\xff" * 3996)
    for command in ("up", "worker"):
        done = mainstay(program, command)
        assert done.returncode == 1, done.stderr
        assert "the database is damaged" in done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) <= 4


@pytest.mark.fault("R15")
@pytest.mark.parametrize("role", ["monitor", "web"])
def test_a_port_that_is_taken_is_told_before_anything_is_registered(tmp_path: Path, role: str) -> None:
    program = Program(tmp_path / "program")
    program.command("prepare")
    with socket.socket() as other:
        other.bind(("127.0.0.1", program.monitor_port if role == "monitor" else program.port))
        other.listen()
        done = mainstay(program, role)
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
    with sqlite3.connect(database(program)) as found:
        assert found.execute("SELECT count(*) FROM sqlite_sequence WHERE name = 'processes_process'").fetchone() == (0,)
    found.close()


@pytest.mark.fault("R15")
def test_web_that_starts_while_the_database_is_away_answers_that_it_is(tmp_path: Path) -> None:
    away = f"postgresql://m:hunter2@127.0.0.1:{free_port()}/m"
    program = Program(tmp_path / "program", extra={"DATABASE_URL": away})
    program.home.mkdir()
    log = (program.home / "log").open("wb")
    web = subprocess.Popen(
        [sys.executable, "-m", "mainstay", "web"], env=program.environ(), cwd=ROOT, stdout=log, stderr=log
    )

    def ask(path: str) -> tuple[int, str, str]:
        try:
            request = urllib.request.Request(f"{program.url}{path}")
            request.add_header("Cookie", f"mainstay_session_{program.port}={'a' * 32}")
            request.add_header("Authorization", "Bearer mst_a")
            urllib.request.urlopen(request, timeout=15)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers.get("Retry-After", "")
        except OSError:
            pass
        return 0, "", ""

    try:
        until(lambda: ask("/healthz")[0] == 503, "it listens", within_s=20)
        assert json.loads(ask("/healthz")[1])["detail"].startswith("the database does not answer")
        for path in ("/ping/7d1f4c52-1b0f-4a6e-9d0c-5f3f2f6f1a11", "/", "/api/v1/checks"):
            status, text, retry = ask(path)
            assert (status, bool(retry)) == (503, True), (path, text)
        time.sleep(3)
        assert web.poll() is None
        lines = (program.home / "log").read_text().splitlines()
        assert len(lines) < 10, lines
        assert "hunter2" not in str(lines)
    finally:
        web.terminate()
        web.wait(10)
        log.close()
