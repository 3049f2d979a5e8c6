"""Metrics beside Prometheus: what a sample, a round of 1,000 rules and a query cost. Both scrape the same targets."""

import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.exporter import SERIES
from bench.figures import NOT_INSTALLED, Aim, Figure, Line, Peer, elsewhere
from bench.machine import cpu_s, memory
from bench.program import directory, mainstay, written
from bench.rules import JOBS, document
from mainstay.foundation.environment import read
from mainstay.foundation.secrets import scrape_token
from mainstay.observe.metrics.client import Client
from mainstay.observe.metrics.client import Server as Address
from mainstay.observe.metrics.servers import monitor
from tests.program import ROOT, Program, free_port, until

TARGETS, QUICK_TARGETS = 100, 20
EVERY_S = 15
FILLED_S, QUICK_FILLED_S = 330.0, 75.0  # rules look back five minutes
INGESTED_S, QUICK_INGESTED_S = 120.0, 30.0  # of that time, at its end, in which ingestion is measured
RULES_EVERY_S = 60
ROUNDS, QUICK_ROUNDS = 3, 2
ASKED = 7  # times each query
JOB = "svc"
QUERIES = (
    ("rate by handler, 20,000 series", "sum by (handler)(rate(http_requests_total[5m]))"),
    (
        "p99 by handler, 48,000 series",
        "histogram_quantile(0.99, sum by (le, handler)(rate(http_request_duration_seconds_bucket[5m])))",
    ),
    ("quantile_over_time, 10,000 results", "quantile_over_time(0.9, queue_depth[5m])"),
    (
        "error ratio of 10 series",
        'sum(rate(http_requests_total{{instance="{one}",handler="/api/v1/h03",code=~"5.."}}[5m])) / '
        'sum(rate(http_requests_total{{instance="{one}",handler="/api/v1/h03"}}[5m]))',
    ),
)
RANGE_POINTS = 25
SAMPLES = ("mainstay_metrics_samples_total", "prometheus_tsdb_head_samples_appended_total")
EVALUATIONS = ("mainstay_rules_evaluated_total", "prometheus_rule_evaluations_total")


@dataclass(frozen=True, slots=True)
class Used:
    """What a server has used and done."""

    cpu_s: float
    samples: float
    evaluations: float


class Server:
    """One of the two, asked alike."""

    def __init__(self, name: str, pid: int, client: Client, own: str, token: str = "") -> None:
        self.name, self.pid, self.client, self._own, self._token = name, pid, client, own, token

    def used(self) -> Used:
        """Return what it has used and done so far."""
        figures = _figures(self._own, self._token)
        samples = sum(figures.get(name, 0.0) for name in SAMPLES)
        return Used(cpu_s(self.pid), samples, sum(figures.get(name, 0.0) for name in EVALUATIONS))

    def query_ms(self, text: str, points: int) -> float:
        """Return the median time of a query, in ms; of a range of so many points, or an instant."""
        took = []
        for _ in range(ASKED):
            now, begin = time.time(), time.perf_counter()
            if points > 1:
                self.client.query_range(text, now - (points - 1) * EVERY_S, now, EVERY_S)
            else:
                self.client.query(text, now)
            took.append((time.perf_counter() - begin) * 1000)
        return statistics.median(took)


def run(*, quick: bool) -> list[Line]:
    """Measure; about thirteen minutes, `quick` four."""
    number = QUICK_TARGETS if quick else TARGETS
    with directory() as home, _targets(number) as ports, _prometheus(home, ports) as peer:
        addresses = [f"127.0.0.1:{port}" for port in ports]
        scrapes = {"scrapes": list(_scrapes(ports))}
        with mainstay(home / "program", scrapes, MAINSTAY_METRICS_SERIES_MOST="1000000") as program:
            ours = _server(program)
            servers = [ours, *([peer.server] if peer else [])]
            out, base = _ingestion(servers, quick=quick)
            for title, distinct, share in (("1,000 rules", False, 5), ("their distinct expressions", True, 2)):
                rules = document(addresses, f"{RULES_EVERY_S}s", distinct=distinct)
                out += _rules(title, program, servers, peer, rules, base, share, quick=quick)
            out += _queries(servers, addresses)
            out += _sizes(servers)
    return out


# --- the parts --------------------------------------------------------------------------------------------------------


def _ingestion(servers: Sequence[Server], *, quick: bool) -> tuple[list[Line], dict[str, float]]:
    filled, measured = (QUICK_FILLED_S, QUICK_INGESTED_S) if quick else (FILLED_S, INGESTED_S)
    time.sleep(filled - measured)
    begin = {server.name: server.used() for server in servers}
    time.sleep(measured)
    each, rate = {}, {}
    for server in servers:
        now, was = server.used(), begin[server.name]
        each[server.name] = (now.cpu_s - was.cpu_s) / max(1.0, now.samples - was.samples) * 1e6
        rate[server.name] = (now.cpu_s - was.cpu_s) / measured
    ours, others = servers[0], servers[1:]
    peers = (*(Peer(one.name, each[one.name], "this run") for one in others), elsewhere("prometheus-ingest"))
    aim = Aim(1.5 * each[others[0].name]) if others else Aim(1.5 * 2.6)
    note = f"{SERIES:,} series a target, everything else that the monitor does included"
    return [Figure("CPU per ingested sample", each[ours.name], "µs", aim, peers, note=note)], rate


def _rules(
    title: str,
    program: Program,
    servers: Sequence[Server],
    peer: "_Peer | None",
    rules: Mapping[str, Any],
    base: Mapping[str, float],
    share: int,
    *,
    quick: bool,
) -> list[Line]:
    """Let one evaluate the rules, then the other, each without the other's load."""
    number = sum(len(group["rules"]) for group in rules["groups"])
    rounds = QUICK_ROUNDS if quick else ROUNDS
    found: dict[str, float] = {}
    for server in servers:
        if server is servers[0]:
            program.command("apply", str(written(program.home / "rules", {"managed_as": "rules", **rules})))
        else:
            assert peer is not None
            peer.use(rules)
        found[server.name] = _round_s(server, number, rounds, base[server.name])
        if server is servers[0]:
            program.command("apply", str(written(program.home / "rules", {"managed_as": "rules", "groups": []})))
        else:
            assert peer is not None
            peer.use({"groups": []})
    ours = servers[0].name
    peers = tuple(Peer(one.name, found[one.name], "this run") for one in servers[1:])
    if share == 5:
        peers = (*peers, elsewhere("prometheus-rules"))
    bound = Aim(peers[0].value / share) if peers and peers[0].value else None
    return [Figure(f"CPU per round of {title} ({number})", found[ours], "s", bound, peers)]


def _round_s(server: Server, number: int, rounds: int, base: float) -> float:
    """Return the CPU that one round of all rules takes, beyond what ingestion takes meanwhile."""
    start = server.used()
    first = start.evaluations + number
    until(lambda: server.used().evaluations >= first, "rules are evaluated", within_s=400, every_s=1)
    was, at = server.used(), time.monotonic()
    wanted = was.evaluations + number * rounds
    until(lambda: server.used().evaluations >= wanted, "rounds have ended", within_s=900, every_s=1)
    time.sleep(5)
    now, spent = server.used(), time.monotonic() - at
    done = (now.evaluations - was.evaluations) / number
    return (now.cpu_s - was.cpu_s - base * spent) / done


def _queries(servers: Sequence[Server], addresses: Sequence[str]) -> list[Line]:
    out: list[Line] = []
    for title, text in QUERIES:
        for kind, points in (("instant", 1), (f"range of {RANGE_POINTS} points", RANGE_POINTS)):
            asked = text.format(one=addresses[3]) if "{one}" in text else text
            took = {server.name: server.query_ms(asked, points) for server in servers}
            peers = tuple(Peer(one.name, took[one.name], "this run") for one in servers[1:])
            aim = Aim(took[servers[1].name] / 2) if points > 1 and len(servers) > 1 else None
            out.append(Figure(f"{title}: {kind}, p50", took[servers[0].name], "ms", aim, peers))
    return out


def _sizes(servers: Sequence[Server]) -> list[Line]:
    held = {server.name: memory(server.pid).pss for server in servers}
    peers = tuple(Peer(one.name, held[one.name], "this run") for one in servers[1:])
    aim = Aim(held[servers[1].name]) if len(servers) > 1 else Aim(683)
    note = "the monitor also holds the checks and Django"
    return [Figure("memory after all that (PSS)", held[servers[0].name], "MiB", aim, peers, note=note)]


# --- the programs -----------------------------------------------------------------------------------------------------


@contextmanager
def _targets(number: int) -> Iterator[list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.exporter", str(number)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.terminate()


def _jobs(ports: Sequence[int]) -> Iterator[tuple[str, list[str]]]:
    each = -(-len(ports) // JOBS)
    for job in range(JOBS):
        yield f"{JOB}{job}", [f"127.0.0.1:{port}" for port in ports[job * each : (job + 1) * each]]


def _scrapes(ports: Sequence[int]) -> Iterator[dict[str, Any]]:
    for name, targets in _jobs(ports):
        yield {"name": name, "targets": targets, "every": f"{EVERY_S}s"}


def _server(program: Program) -> Server:
    environment = read(program.environ())
    key = environment.secret_key or environment.secret_key_file.read_text().strip()
    client = Client(monitor(environment, key))
    own = f"http://127.0.0.1:{environment.monitor_port}/metrics"
    return Server("Mainstay", program.children()["monitor"], client, own, scrape_token(key))


class _Peer:
    """A running Prometheus whose rules can be changed."""

    def __init__(self, server: Server, rules: Path, process: "subprocess.Popen[bytes]") -> None:
        self.server, self._rules, self._process = server, rules, process

    def use(self, rules: Mapping[str, Any]) -> None:
        """Evaluate these rules from now on."""
        self._rules.write_text(json.dumps(rules))
        self._process.send_signal(signal.SIGHUP)


@contextmanager
def _prometheus(home: Path, ports: Sequence[int]) -> Iterator[_Peer | None]:
    path = shutil.which("prometheus")
    if path is None:
        print(f"Prometheus is {NOT_INSTALLED}: ours alone is measured")
        yield None
        return
    folder, port = home / "prometheus", free_port()
    folder.mkdir(parents=True)
    rules = folder / "rules.json"
    rules.write_text('{"groups": []}')
    jobs = [{"job_name": name, "static_configs": [{"targets": targets}]} for name, targets in _jobs(ports) if targets]
    times = {"scrape_interval": f"{EVERY_S}s", "scrape_timeout": "10s", "evaluation_interval": f"{RULES_EVERY_S}s"}
    settings = {"global": times, "rule_files": [str(rules)], "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = [
        path, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: bool(_figures(f"{url}/metrics")), "Prometheus answers", within_s=30)
        yield _Peer(Server("Prometheus 2.42", process.pid, Client(Address(url)), f"{url}/metrics"), rules, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _figures(url: str, token: str = "") -> dict[str, float]:
    """Return the metrics at an address that have no labels (or whose labels do not matter: they are added up)."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError:
        raise
    except OSError:
        return {}
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            key = name.partition("{")[0]
            found[key] = found.get(key, 0.0) + float(value)
    return found
