"""Files that people name: regular ones of bounded size below allowed directories, and no loop waits for them."""

import os
import threading
import time
from pathlib import Path

import pytest

from mainstay.foundation import outside_files
from mainstay.foundation.environment import BadEnvironment, read
from mainstay.foundation.outside_files import NO_PEM, UnreadableFileError, check, pem, read_file

PEM = "-----BEGIN CERTIFICATE-----\nTWFpbnN0YXk=\n-----END CERTIFICATE-----\n"


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "allowed"
    directory.mkdir()
    (tmp_path / "secret.pem").write_text(PEM)
    (directory / "ca.pem").write_text(PEM)
    (directory / "below").mkdir()
    (directory / "below" / "deep.pem").write_text(PEM)
    monkeypatch.setenv("MAINSTAY_FILES", str(directory))
    return directory


def hostile(allowed: Path) -> list[str]:
    """Paths of all kinds that are no certificate, in the directory and elsewhere."""
    os.mkfifo(allowed / "pipe.pem")
    (allowed / "large.pem").write_bytes(b"x" * ((1 << 20) + 1))
    (allowed / "out.pem").symlink_to(allowed.parent / "secret.pem")
    (allowed / "zero.pem").symlink_to("/dev/zero")
    (allowed / "up").symlink_to(allowed.parent)
    (allowed / "round.pem").symlink_to(allowed / "round.pem")
    return [
        "/dev/zero",
        "/dev/stdin",
        "/dev/tty",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "/proc/kmsg",
        "/etc/shadow",
        "/etc/passwd",
        "/nonexistent.pem",
        "/",
        "",
        ".",
        "..",
        "~/.ssh/id_rsa",
        "../secret.pem",
        f"{allowed}/../secret.pem",
        f"{allowed}/below/../../secret.pem",
        f"{allowed}-beside/ca.pem",
        str(allowed),
        str(allowed / "below"),
        str(allowed / "pipe.pem"),
        str(allowed / "large.pem"),
        str(allowed / "out.pem"),
        str(allowed / "zero.pem"),
        str(allowed / "up" / "secret.pem"),
        str(allowed / "round.pem"),
        str(allowed / "ca.pem" / "x"),
        f"{allowed}/ca.pem\0",
        f"{allowed}/{'x' * 300}",
        "x" * 5000,
        "file:///etc/passwd",
    ]


@pytest.mark.fault("S3")
@pytest.mark.timing
def test_whatever_is_no_certificate_is_refused_at_once_with_one_message(allowed: Path) -> None:
    began = time.monotonic()
    for path in hostile(allowed):
        with pytest.raises(UnreadableFileError) as refused:
            read_file(path)
        assert str(refused.value) == NO_PEM, path
        with pytest.raises(UnreadableFileError) as refused:
            pem(path)
        assert NO_PEM in str(refused.value)
        assert len(str(refused.value)) < 500
    assert time.monotonic() - began < 5


def test_the_edge_refuses_them_too_but_not_what_may_come_later(allowed: Path) -> None:
    for path in hostile(allowed):
        if path in {str(allowed / "ca.pem" / "x"), "~/.ssh/id_rsa", "file:///etc/passwd"}:
            continue  # below the directory by their letters, and not there
        with pytest.raises(UnreadableFileError):
            check(path)
    check(str(allowed / "later.pem"))
    check("later/ca.pem")


@pytest.mark.parametrize("name", ["ca.pem", "below/deep.pem", "below/../ca.pem", "inner.pem", "mounted/deep.pem"])
def test_a_certificate_is_read_by_relative_and_by_absolute_path_and_through_links_inside(
    allowed: Path, name: str
) -> None:
    (allowed / "inner.pem").symlink_to("below/deep.pem")
    (allowed / "mounted").symlink_to("below")  # as Kubernetes mounts secrets
    for path in (name, str(allowed / name)):
        check(path)
        assert read_file(path) == PEM.encode()
        assert pem(path) == PEM.encode()


def test_text_is_taken_as_it_is(allowed: Path) -> None:
    assert pem(PEM) == PEM.encode()


def test_a_certificate_renewed_in_place_is_noticed_within_seconds(
    allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_files, "FRESH_S", 0.0)
    assert pem("ca.pem") == PEM.encode()
    (allowed / "ca.pem").write_text(PEM + PEM)
    deadline = time.monotonic() + 10
    while pem("ca.pem") != (PEM + PEM).encode():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.fault("S3")
@pytest.mark.timing
def test_a_disk_that_hangs_is_waited_for_once_and_a_moment_only(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back = threading.Event()
    real = outside_files.read_file

    def hanging(given: str) -> bytes:
        if "hung" in given:
            back.wait(20)
        return real(given)

    monkeypatch.setattr(outside_files, "read_file", hanging)
    (allowed / "hung.pem").write_text(PEM)
    try:
        began = time.monotonic()
        with pytest.raises(UnreadableFileError):
            pem("hung.pem", 0.05)
        asked = time.monotonic()
        for _ in range(100):
            with pytest.raises(UnreadableFileError):
                pem("hung.pem", 0.05)
        assert time.monotonic() - asked < 1
        assert pem("ca.pem", 5) == PEM.encode()  # another file meanwhile
        assert time.monotonic() - began < 5
    finally:
        back.set()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert pem("hung.pem") == PEM.encode()
            break
        except UnreadableFileError:
            time.sleep(0.01)
    else:
        pytest.fail("the file is not read although its disk is back")


def test_many_files_that_hang_take_a_bounded_number_of_threads(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back = threading.Event()

    def hanging(_given: str) -> bytes:
        back.wait(20)
        return b""

    monkeypatch.setattr(outside_files, "read_file", hanging)
    before = threading.active_count()
    try:
        for number in range(100):
            with pytest.raises(UnreadableFileError):
                pem(f"many-{number}.pem", 0.0)
        assert threading.active_count() - before <= 16
    finally:
        back.set()


@pytest.mark.parametrize("given", ["/", "relative/files", "/srv/tls,certs"])
def test_directories_that_say_nothing_are_no_setting(given: str) -> None:
    with pytest.raises(BadEnvironment, match="MAINSTAY_FILES"):
        read({"MAINSTAY_FILES": given})


def test_unless_set_files_lie_below_home(tmp_path: Path) -> None:
    assert read({"MAINSTAY_HOME": str(tmp_path)}).files == (tmp_path / "files",)
    assert read({"MAINSTAY_FILES": "/srv/tls, /etc/prometheus/"}).files == (Path("/srv/tls"), Path("/etc/prometheus"))
