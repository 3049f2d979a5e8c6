"""Real metric servers from Debian's packages, on free ports, each scraping one target every second."""

import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.program import free_port


@contextmanager
def served(text: Callable[[], str]) -> Iterator[int]:
    """Serve what `text` returns at /metrics; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _running(command: list[str], ready: str, log: Path) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            _wait(ready, process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise AssertionError(f"it ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer: {log.read_text()[-2000:]}")


def _configuration(folder: Path, target: int) -> Path:
    path = folder / "scrape.yml"
    path.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
        f"- job_name: app\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
    return path


def program(name: str) -> str:
    """Return the path of a peer; skip the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {name})")
    return found


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[str]:
    """Run Prometheus; yield its address."""
    command, port = program("prometheus"), free_port()
    folder.mkdir()
    arguments = [
        command, f"--config.file={_configuration(folder, target)}", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with _running(arguments, f"{url}/-/ready", folder / "log"):
        yield url


@contextmanager
def victoria_metrics(folder: Path, target: int) -> Iterator[str]:
    """Run VictoriaMetrics; yield its address."""
    command, port = program("victoria-metrics"), free_port()
    folder.mkdir()
    arguments = [
        command, f"-promscrape.config={_configuration(folder, target)}", f"-storageDataPath={folder}/data",
        f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s", "-loggerLevel=ERROR",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with _running(arguments, f"{url}/health", folder / "log"):
        yield url
