"""`mainstay up` with real processes: stops in time, restarts, refuses to start twice, leaves nobody behind."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 15.0
SUPERVISOR = """
import sys
from mainstay.foundation.processes import supervise
from mainstay.foundation.processes.supervise import Child, Supervisor
supervise.SILENT_MOST_S, supervise.KILL_AFTER_S = 1.0, 0.5
copies, *codes = sys.argv[1:]
children = [
    Child(f"child-{number}", [sys.executable, "-c", code], (lambda code=code: exec(code, {}) or 0) if copies else None)
    for number, code in enumerate(codes)
]
sys.exit(Supervisor(children).run())
"""
# Each child writes its pid and then does what its name says.
HELLO = "import os, signal, subprocess, sys, time; os.write(1, b'%d\\n' % os.getpid()); "
OBEYS = HELLO + "time.sleep(60)"
IGNORES = HELLO.replace("os.write", "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write", 1) + "time.sleep(60)"
ENDS = HELLO + "sys.exit(3)"
HAS_ONE_OF_ITS_OWN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + HELLO
    + "own = 'import os, time; os.write(1, (str(os.getpid()) + chr(10)).encode()); time.sleep(60)'; "
    + "subprocess.run([sys.executable, '-c', own])"
)  # fmt: skip


@pytest.fixture(
    params=["", pytest.param("copies", marks=pytest.mark.skipif(sys.platform != "linux", reason="copies: Linux only"))],
    ids=["programs", "copies"],
)
def copies(request: pytest.FixtureRequest) -> str:
    """Whether the children are copies of the supervisor or programs: nobody can tell."""
    return str(request.param)


@contextmanager
def supervisor(copies: str, *children: str) -> Iterator[subprocess.Popen[str]]:
    """A supervisor of programs; whatever is left of them is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, copies, *children], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_S)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def pids(process: subprocess.Popen[str], count: int) -> list[int]:
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(count)]


def runs(pid: int) -> bool:
    """Whether the process lives; a zombie nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.mark.timing
def test_all_stop_within_five_seconds_even_one_that_ignores_the_wish(copies: str) -> None:
    with supervisor(copies, OBEYS, IGNORES) as process:
        children = pids(process, 2)
        began = time.monotonic()
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 5
        assert not any(map(runs, children))


@pytest.mark.timing
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_obedient_children_end_at_once(copies: str, number: signal.Signals) -> None:
    with supervisor(copies, OBEYS, OBEYS) as process:
        children = pids(process, 2)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 2.5
        assert not any(map(runs, children))


def test_what_a_stubborn_child_started_is_ended_with_it(copies: str) -> None:
    with supervisor(copies, HAS_ONE_OF_ITS_OWN) as process:
        both = pids(process, 2)
        process.terminate()
        process.wait(PATIENCE_S)
        until(lambda: not any(map(runs, both)))


def test_a_child_that_ends_is_started_again_a_little_later_each_time(copies: str) -> None:
    with supervisor(copies, ENDS, OBEYS) as process:
        began = time.monotonic()
        assert len(set(pids(process, 4))) == 4  # the obedient one, and the other one three times
        assert time.monotonic() - began > 0.7  # 0.25 and 0.5 s of waiting between
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
    waits = [float(text) for text in re.findall(r"child-0 ended with status 3; starting it again in ([\d.]+) s", said)]
    assert waits[:3] == [0.25, 0.5, 1.0][: len(waits)]
    assert len(waits) >= 2


def test_a_child_that_was_killed_is_started_again_and_the_signal_is_told(copies: str) -> None:
    with supervisor(copies, OBEYS) as process:
        [first] = pids(process, 1)
        os.kill(first, signal.SIGKILL)
        [second] = pids(process, 1)
        assert second != first
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
        assert "child-0 was killed by signal 9" in said


def test_a_program_that_cannot_be_started_is_told_and_stops_nobody_else() -> None:
    code = SUPERVISOR.replace("[sys.executable", '["/no/such/program"] if number == 0 else [sys.executable')
    process = subprocess.Popen(
        [sys.executable, "-c", code, "", "x", OBEYS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pids(process, 1)
    process.terminate()
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "child-0 cannot be started" in said


SPEAKS = "from mainstay.foundation.processes import watchdog; watchdog.tell_supervisor(); "
DEAF = "signal.signal(signal.SIGABRT, signal.SIG_IGN); "
NO_CORE = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process is stopped")
@pytest.mark.parametrize(("before", "number"), [("", 6), (DEAF, 9)], ids=["leaves its stacks", "ignores even that"])
def test_who_said_that_it_lives_and_falls_silent_is_ended(copies: str, before: str, number: int) -> None:
    with supervisor(copies, NO_CORE + SPEAKS + before.join([HELLO, OBEYS.removeprefix(HELLO)])) as process:
        first, second = pids(process, 2)
        assert first != second
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
    assert "child-0 hangs: nothing in it has moved for 1 s; ending it" in said
    assert f"child-0 was killed by signal {number}" in said


@pytest.mark.long
@pytest.mark.parametrize(
    "speaks", ["", SPEAKS + "watchdog.tell_supervisor(watchdog.LAST_WORD); "], ids=["never spoke", "said goodbye"]
)  # fmt: skip
def test_who_never_said_that_it_lives_or_said_goodbye_may_be_silent(copies: str, speaks: str) -> None:
    with supervisor(copies, speaks + OBEYS) as process:
        [child] = pids(process, 1)
        time.sleep(2.5)
        assert runs(child)
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
    assert "hangs" not in said


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process is stopped")
def test_who_is_stopped_or_slept_with_the_whole_machine_is_not_ended_for_its_silence(copies: str) -> None:
    speaks_on = SPEAKS + HELLO + "[(time.sleep(0.1), watchdog.tell_supervisor()) for _ in range(600)]"
    with supervisor(copies, speaks_on) as process:
        [child] = pids(process, 1)
        os.kill(child, signal.SIGSTOP)
        time.sleep(2.5)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(process.pid, signal.SIGCONT)
        os.kill(child, signal.SIGCONT)
        time.sleep(1.5)
        assert runs(child)
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
    assert "hangs" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux only")
def test_killing_the_supervisor_ends_the_children(copies: str) -> None:
    with supervisor(copies, OBEYS, OBEYS) as process:
        children = pids(process, 2)
        process.kill()
        process.wait(PATIENCE_S)
        until(lambda: not any(map(runs, children)))


def up(home: Path, **environ: str) -> tuple[int, str]:
    """Run `mainstay up`, which cannot start; return its status and what it said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAINSTAY_", "DATABASE_URL"))}
    done = subprocess.run(
        [sys.executable, "-m", "mainstay", "up"],
        env={**clean, "MAINSTAY_HOME": str(home), **environ}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("variable", ["MAINSTAY_PORT", "MAINSTAY_MONITOR_PORT"])
def test_a_port_that_is_taken_is_named_with_the_way_out(variable: str, tmp_path: Path) -> None:
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        other = str(free.getsockname()[1])
        free.close()
        ports = {"MAINSTAY_PORT": other, "MAINSTAY_MONITOR_PORT": other, variable: port}
        status, said = up(tmp_path / "var", **ports)
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert f"give {variable} another port" in said
    assert "Traceback" not in said


def test_a_data_directory_in_use_is_named_with_who_uses_it(tmp_path: Path) -> None:
    with (tmp_path / "mainstay.lock").open("w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        status, said = up(tmp_path)
    assert status == 1
    assert f"{tmp_path} is in use by process 4711" in said
    assert "MAINSTAY_HOME" in said
    assert "Traceback" not in said


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, said = up(tmp_path / "file" / "var")
    assert status == 1
    assert "cannot be written to" in said
    assert "Traceback" not in said


def test_a_setting_that_is_wrong_is_a_usage_error(tmp_path: Path) -> None:
    status, said = up(tmp_path, MAINSTAY_PORTT="1")
    assert status == 2
    assert "MAINSTAY_PORTT: not a setting of Mainstay. Did you mean MAINSTAY_PORT?" in said
    assert "Traceback" not in said


@pytest.mark.fault("R12")
def test_the_limit_on_open_files_is_raised_as_far_as_it_may_go() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512));"
        "from mainstay.foundation.processes.supervise import raise_open_files;"
        "print(raise_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert told.stdout.strip() == "512 (512, 512)"
