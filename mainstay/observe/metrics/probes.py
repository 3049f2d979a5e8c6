"""Every check's results as series, named as blackbox_exporter names them: rules, charts and reports share them.

Heartbeats have `probe_success` and, where a start was told, `probe_duration_seconds`. The labels are those that routes
and silences know: application, check, kind, environment, component, severity and the check's own.
"""

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from prometheus_client.core import Metric

from mainstay.observe.checks.probe.outcome import Phases
from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.store import BadLabels, CardinalityExceeded, Store, Stream

log = logging.getLogger("mainstay.metrics")
JOB = "checks"
Named = tuple[str, str]  # the name of a metric, and its phase
_ALWAYS: tuple[Named, ...] = (("probe_success", ""), ("probe_duration_seconds", ""))
_HTTP: tuple[Named, ...] = (
    *_ALWAYS,
    ("probe_http_status_code", ""),
    *(("probe_http_duration_seconds", phase) for phase in ("resolve", "connect", "tls", "processing", "transfer")),
    ("probe_http_redirects", ""),
    ("probe_http_uncompressed_body_length", ""),
)
_NO_PHASES = Phases()
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Seen(Protocol):
    """A result (`checks.watch.Observation`)."""

    @property
    def check(self) -> int: ...
    @property
    def at(self) -> datetime: ...
    @property
    def health(self) -> str: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def code(self) -> int | None: ...
    @property
    def phases(self) -> Phases | None: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class _Check:
    kind: str
    labels: Mapping[str, str]
    stream: Stream
    names: tuple[Named, ...] = ()
    layout: Any = None
    refused: bool = False


class ProbeSeries:
    """The series of the checks that this monitor holds. One thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._checks: dict[int, _Check] = {}

    def hold(self, check: int, kind: str, target: str, labels: Mapping[str, str]) -> None:
        """Know a check, or what it is called now."""
        wanted = _series_labels(target, labels)
        known = self._checks.get(check)
        if known is None or known.labels != wanted or known.kind != kind:
            stream = known.stream if known is not None else self._store.stream(f"check:{check}", JOB)
            self._checks[check] = _Check(kind, wanted, stream)

    def drop(self, checks: Iterable[int], now: datetime) -> None:
        """Let go of checks; their series end."""
        for check in checks:
            known = self._checks.pop(check, None)
            if known is not None:
                known.stream.end(_ms(now))

    def take(self, seen: Iterable[Seen]) -> None:
        """Put results into the store. What it refuses is counted there; it never keeps results from the records."""
        for one in seen:
            known = self._checks.get(one.check)
            if known is None:
                continue
            names, values = _values(known.kind, one)
            try:
                if names != known.names:
                    known.layout = self._store.layout([_labels(name, known.labels) for name in names], JOB)
                    known.names = names
                known.stream.put(_ms(one.at), known.layout, np.array(values, np.float64))
            except (CardinalityExceeded, BadLabels) as error:
                known.names = ()
                if not known.refused:
                    log.warning("results of check %d are not kept as series: %s", one.check, error)
                known.refused = True


class LatestProbes:
    """The last result of each check as metrics, for a server that scrapes them: where METRICS_URL keeps the samples.

    A collector of prometheus_client. Any thread may call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[int, str] = {}
        self._labels: dict[int, Mapping[str, str]] = {}
        self._values: dict[int, list[tuple[tuple[str, str], float]]] = {}

    def hold(self, check: int, kind: str, target: str, labels: Mapping[str, str]) -> None:
        """Know a check, or what it is called now."""
        with self._lock:
            self._kinds[check], self._labels[check] = kind, _series_labels(target, labels)

    def drop(self, checks: Iterable[int]) -> None:
        """Let go of checks."""
        with self._lock:
            for check in checks:
                for known in (self._kinds, self._labels, self._values):
                    known.pop(check, None)

    def take(self, seen: Iterable[Seen]) -> None:
        """Remember results."""
        with self._lock:
            for one in seen:
                kind = self._kinds.get(one.check)
                if kind is not None:
                    self._values[one.check] = list(zip(*_values(kind, one), strict=True))

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, each with the labels of its check."""
        with self._lock:
            rows = [(self._labels[check], values) for check, values in self._values.items()]
        families: dict[str, Metric] = {}
        for labels, values in rows:
            for (name, phase), value in values:
                family = families.setdefault(name, Metric(name, "Of the last result of a check.", "gauge"))
                family.add_sample(name, {**labels, **({"phase": phase} if phase else {})}, value)
        yield from families.values()


def _series_labels(target: str, labels: Mapping[str, str]) -> dict[str, str]:
    kept = {name: text for name, text in labels.items() if _LABEL.fullmatch(name) and text}
    return kept | {"job": JOB, "instance": target or labels.get("check", "")}


def _values(kind: str, seen: Seen) -> tuple[tuple[Named, ...], list[float]]:
    """Return the series of a result, and their values."""
    facts, phases = seen.facts, seen.phases
    names, values = _ALWAYS, [float(seen.health != "down"), seen.duration_s]
    if kind == "http":
        names = _HTTP
        values += (float(seen.code or 0), *(phases or _NO_PHASES))
        values += (float(facts.get("redirects", 0)), float(facts.get("body_bytes", 0)))
    elif phases is not None:
        names += (("probe_dns_lookup_time_seconds", ""),)
        values.append(phases.dns_s)
    if kind == "dns":
        names += (("probe_dns_answer_rrs", ""),)
        values.append(float(facts.get("answers", 0)))
    if kind == "icmp":
        names += (("probe_icmp_loss_ratio", ""),)
        values.append(float(facts.get("loss_percent", 100.0)) / 100)
    if kind == "command":
        names += (("probe_exit_status", ""),)
        values.append(float(seen.code if seen.code is not None else -1))
    expires = facts.get("chain_expires_at") or facts.get("certificate_expires_at")
    if isinstance(expires, int | float):
        names += (("probe_ssl_earliest_cert_expiry", ""),)
        values.append(float(expires))
    return names, values


def _labels(name: tuple[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    metric, phase = name
    return {**labels, NAME: metric, **({"phase": phase} if phase else {})}


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
