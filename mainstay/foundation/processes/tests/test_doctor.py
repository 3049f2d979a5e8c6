"""`mainstay doctor`: each look finds what is wrong and how to mend it, and changes nothing."""

import fcntl
import json
import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.foundation import environment as env
from mainstay.foundation.processes import doctor
from mainstay.foundation.processes.doctor import Verdict


@pytest.fixture
def installation(tmp_path: Path) -> env.Environment:
    return env.read({"MAINSTAY_HOME": str(tmp_path / "var")})


def prepared(installation: env.Environment) -> env.Environment:
    installation.home.mkdir(mode=0o700)
    return installation


def test_a_python_that_is_too_old_is_named() -> None:
    assert doctor.python_version((3, 10, 9)).verdict is Verdict.BAD
    assert doctor.python_version((3, 11, 0)).verdict is Verdict.GOOD


def test_before_the_first_start_nothing_is_wrong_and_nothing_is_made(installation: env.Environment) -> None:
    looks = (doctor.home, doctor.key_file, doctor.database, doctor.migrations)
    assert [look(installation).verdict for look in looks] == [Verdict.OPEN] * 4
    assert doctor.disk(installation).verdict is Verdict.GOOD
    assert not installation.home.exists()


def test_a_home_that_takes_no_files_is_told(installation: env.Environment) -> None:
    installation.home.write_text("a file")
    assert doctor.home(installation).verdict is Verdict.BAD
    assert doctor.home(replace(installation, home=installation.home / "inside-a-file")).verdict is Verdict.BAD
    assert doctor.home(replace(installation, home=Path("/proc"))).verdict is Verdict.BAD


def test_a_home_that_takes_files_is_left_as_it_was(installation: env.Environment) -> None:
    assert doctor.home(prepared(installation)).verdict is Verdict.GOOD
    assert list(installation.home.iterdir()) == []


@pytest.mark.fault("S9")
def test_a_home_or_a_database_that_others_can_read_is_told_with_the_command(installation: env.Environment) -> None:
    path = prepared(installation).home
    path.chmod(0o755)
    found = doctor.home(installation)
    assert (found.verdict, found.mend) == (Verdict.BAD, f"chmod -R go-rwx {path}")
    path.chmod(0o700)
    installation.database_file.touch()
    installation.database_file.chmod(0o644)
    assert doctor.home(installation).found == f"others may read {installation.database_file} (mode 644)"
    installation.database_file.chmod(0o600)
    assert doctor.home(installation).verdict is Verdict.GOOD


def test_a_key_that_others_can_read_is_told_with_the_command(installation: env.Environment) -> None:
    path = installation.secret_key_file
    path.parent.mkdir(parents=True)
    path.write_text("k" * 64)
    path.chmod(0o644)
    found = doctor.key_file(installation)
    assert (found.verdict, found.mend) == (Verdict.BAD, f"chmod 600 {path}")
    path.chmod(0o600)
    assert doctor.key_file(installation).verdict is Verdict.GOOD
    path.write_text("short")
    assert doctor.key_file(installation).verdict is Verdict.BAD
    path.write_bytes(b"\xff" * 64)
    assert doctor.key_file(installation).verdict is Verdict.BAD


def test_a_port_in_use_is_told_unless_this_mainstay_uses_it(installation: env.Environment) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        found = doctor.port(prepared(installation), "MAINSTAY_PORT", number)
        assert found.verdict is Verdict.BAD
        assert "set MAINSTAY_PORT to another port" in found.mend
        with (installation.home / "mainstay.lock").open("w") as lock:
            lock.write("4711")
            lock.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = doctor.port(installation, "MAINSTAY_PORT", number)
            assert (found.verdict, found.found) == (Verdict.GOOD, "used by this Mainstay (process 4711)")
    assert doctor.port(installation, "MAINSTAY_PORT", number).verdict is Verdict.GOOD


def test_a_database_that_is_damaged_or_not_write_ahead_is_told(installation: env.Environment) -> None:
    path = prepared(installation).database_file
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert "journal mode delete" in doctor.database(installation).found
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    assert doctor.database(installation).verdict is Verdict.GOOD
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    found = doctor.database(installation)
    assert found.verdict is Verdict.BAD
    assert "restore a backup" in found.mend


def test_a_postgresql_that_does_not_answer_is_told_without_its_password(installation: env.Environment) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"postgresql://u:hunter2@127.0.0.1:{reserved.getsockname()[1]}/m"
        found = doctor.database(replace(installation, database_url=url))
    assert found.verdict is Verdict.BAD
    assert "hunter2" not in found.found


def test_a_clock_in_the_past_is_told() -> None:
    assert doctor.clock(datetime(1970, 1, 2, tzinfo=UTC)).verdict is Verdict.BAD
    assert doctor.clock(datetime.now(UTC)).verdict is Verdict.GOOD


def test_this_libcurl_resolves_names_on_its_own() -> None:
    assert doctor.libcurl().verdict is Verdict.GOOD


def test_optional_programs_are_never_a_failure() -> None:
    assert {finding.name for finding in doctor.programs()} == set(doctor.OPTIONAL)
    assert all(finding.verdict is not Verdict.BAD for finding in doctor.programs())


def run(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mainstay", "doctor", *arguments]
    settings = {"PATH": "/usr/bin:/bin", "MAINSTAY_HOME": str(home), **environ}
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)


def test_a_wrong_variable_is_named_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    done = run(tmp_path / "var", MAINSTAY_PROT="1")
    assert done.returncode == 1
    assert "✗ environment MAINSTAY_PROT: not a setting of Mainstay. Did you mean MAINSTAY_PORT?" in done.stdout
    assert "✓ clock" in done.stdout
    assert done.stderr == ""


def test_every_line_has_a_sign_and_json_tells_the_same(tmp_path: Path) -> None:
    done = run(tmp_path / "var", "--json", MAINSTAY_PORT="1", MAINSTAY_HOST="192.0.2.1")  # not an address of this host
    document = json.loads(done.stdout)
    bad = [finding for finding in document["findings"] if finding["verdict"] == "bad"]
    assert done.returncode == 1
    assert document["status"] == "bad"
    assert [finding["name"] for finding in bad] == ["port 1", "port 8001"]
    assert all(finding["mend"] for finding in bad)
    assert not (tmp_path / "var").exists()


def test_django_is_not_imported_before_the_database_is_asked() -> None:
    code = "import sys, mainstay.foundation.processes.doctor; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_directories_whose_files_settings_may_name_are_there_and_not_everyone_s(tmp_path: Path) -> None:
    assert doctor.files(env.read({"MAINSTAY_HOME": str(tmp_path)})).verdict is Verdict.OPEN
    named = env.read({"MAINSTAY_FILES": str(tmp_path / "tls")})
    assert doctor.files(named).verdict is Verdict.BAD
    (tmp_path / "tls").mkdir()
    assert doctor.files(named).verdict is Verdict.GOOD
    (tmp_path / "tls").chmod(0o777)
    assert "everyone may write" in doctor.files(named).found
    (tmp_path / "tls").rmdir()
    (tmp_path / "tls").write_text("")
    assert "not a directory" in doctor.files(named).found
