"""The golden signals of an application (rate, errors, latency, saturation), found from common names of metrics.

`choose` is pure: which metrics there are goes in, one query for each signal comes out, with the reason why this one.
`docs/metrics.md` lists the names. No Django, no NumPy.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

WINDOW = "5m"
STATUS_LABELS = ("http_response_status_code", "code", "status_code", "status", "http_status_code", "grpc_code")
TOLD_LABELS = (*STATUS_LABELS, "mode", "area")


class Signal(StrEnum):
    """What is measured."""

    RATE = "rate"
    ERRORS = "errors"
    LATENCY = "latency"
    SATURATION = "saturation"


@dataclass(frozen=True, slots=True)
class Seen:
    """A metric that the application has: its name, which of `TOLD_LABELS` it has, and by which matchers it is its."""

    name: str
    labels: frozenset[str] = frozenset()
    scope: str = ""  # `application="shop"`


@dataclass(frozen=True, slots=True)
class Chosen:
    """The query for a signal, and why this one."""

    signal: Signal
    title: str
    query: str
    metric: str
    why: str


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter of requests answered, and whose it is. Without `status` its failures cannot be told."""

    name: str
    by: str
    status: tuple[str, ...] = STATUS_LABELS
    title: str = "Requests"


@dataclass(frozen=True, slots=True)
class Duration:
    """A histogram (or summary) of how long requests took; `stem` is its name without `_bucket`."""

    stem: str
    by: str
    title: str = "Latency"


REQUESTS: tuple[Counter, ...] = (
    Counter("http_server_request_duration_seconds_count", "OpenTelemetry"),
    Counter("http_server_duration_milliseconds_count", "OpenTelemetry before 1.20"),
    Counter("http_server_requests_seconds_count", "Micrometer"),
    Counter("http_requests_total", "the common name"),
    Counter("http_request_duration_seconds_count", "the common name"),
    Counter("django_http_responses_total_by_status_total", "django-prometheus", title="Responses"),
    Counter("django_http_requests_before_middlewares_total", "django-prometheus", ()),
    Counter("flask_http_request_total", "prometheus-flask-exporter"),
    Counter("flask_http_request_duration_seconds_count", "prometheus-flask-exporter"),
    Counter("starlette_responses_total", "starlette-prometheus", title="Responses"),
    Counter("starlette_requests_total", "starlette-prometheus"),
    Counter("nginx_ingress_controller_requests", "ingress-nginx"),
    Counter("nginx_vts_server_requests_total", "nginx-vts-exporter"),
    Counter("nginx_http_requests_total", "nginx-prometheus-exporter", ()),
    Counter("grpc_server_handled_total", "gRPC"),
)
"""Counters of requests; those whose status tells failures are preferred, then the order here."""

EXCEPTIONS: tuple[Counter, ...] = (
    Counter("django_http_exceptions_total_by_type_total", "django-prometheus"),
    Counter("flask_http_request_exceptions_total", "prometheus-flask-exporter"),
    Counter("starlette_exceptions_total", "starlette-prometheus"),
)
"""Counters of failures, for requests that are counted without their status."""

DURATIONS: tuple[Duration, ...] = (
    Duration("http_server_request_duration_seconds", "OpenTelemetry"),
    Duration("http_server_duration_milliseconds", "OpenTelemetry before 1.20"),
    Duration("http_server_requests_seconds", "Micrometer"),
    Duration("http_request_duration_seconds", "the common name"),
    Duration("http_request_duration_highr_seconds", "prometheus-fastapi-instrumentator"),
    Duration("django_http_requests_latency_including_middlewares_seconds", "django-prometheus"),
    Duration("django_http_requests_latency_seconds_by_view_method", "django-prometheus"),
    Duration("flask_http_request_duration_seconds", "prometheus-flask-exporter"),
    Duration("starlette_requests_processing_time_seconds", "starlette-prometheus"),
    Duration("nginx_ingress_controller_request_duration_seconds", "ingress-nginx"),
    Duration("grpc_server_handling_seconds", "gRPC"),
)


@dataclass(frozen=True, slots=True)
class Fullness:
    """A way to tell how full something is: the metrics it needs and the query made of them, `{0}`, `{1}` …"""

    title: str
    needs: tuple[str, ...]
    query: str
    why: str


SATURATION: tuple[Fullness, ...] = (
    Fullness(
        "Memory of its limit",
        ("container_memory_working_set_bytes", "container_spec_memory_limit_bytes"),
        "max({0} / ({1} > 0))",
        "the fullest container; one that reaches its limit is killed",
    ),
    Fullness(
        "Heap of its limit",
        ("jvm_memory_used_bytes", "jvm_memory_max_bytes"),
        'max(sum by (instance) ({0:area="heap"}) / sum by (instance) ({1:area="heap"} > 0))',
        "the fullest heap of its Java processes",
    ),
    Fullness(
        "CPU of the host",
        ("node_cpu_seconds_total",),
        'max(1 - avg by (instance) (rate({0:mode="idle"}[' + WINDOW + "])))",
        "the busiest of its hosts",
    ),
    Fullness(
        "CPU of a container",
        ("container_cpu_usage_seconds_total",),
        "max(sum by (pod, instance, name) (rate({0}[" + WINDOW + "])))",
        "the busiest container; its limit is not known",
    ),
    Fullness(
        "CPU of a process",
        ("process_cpu_seconds_total",),
        "max(rate({0}[" + WINDOW + "]))",
        "the busiest process; a whole core is the limit of many programs",
    ),
    Fullness(
        "Memory of a process",
        ("process_resident_memory_bytes",),
        "max({0})",
        "the largest process; its limit is not known",
    ),
    Fullness(
        "Open connections",
        ("nginx_connections_active",),
        "sum({0})",
        "connections that nginx holds; its limit is worker_connections",
    ),
    Fullness(
        "Requests at work",
        ("starlette_requests_in_progress",),
        "sum({0})",
        "requests that are being worked on",
    ),
)
"""From the best to the least telling: a share of a limit, then how busy, then how large."""

_PROBES = ("probe_success", "probe_duration_seconds")


def names() -> list[str]:
    """Return every metric name that is looked for, each once."""
    found = [one.name for one in (*REQUESTS, *EXCEPTIONS)]
    for duration in DURATIONS:
        found += [f"{duration.stem}_bucket", f"{duration.stem}_sum", f"{duration.stem}_count"]
    for fullness in SATURATION:
        found += fullness.needs
    return list(dict.fromkeys([*found, *_PROBES]))


def choose(seen: Iterable[Seen]) -> dict[Signal, Chosen]:
    """Return the query for each signal that these metrics can tell; a signal that none can tell is left out.

    Of a metric that is seen in several scopes the first one counts.
    """
    known: dict[str, Seen] = {}
    for one in seen:
        before = known.get(one.name)
        if before is None:
            known[one.name] = one
        elif before.scope == one.scope:
            known[one.name] = Seen(one.name, before.labels | one.labels, one.scope)
    found = [_rate(known), _errors(known), _latency(known), _saturation(known)]
    return {one.signal: one for one in found if one is not None}


def _of(seen: Seen, *more: str) -> str:
    """Write a selector."""
    inside = ",".join(part for part in (seen.scope, *more) if part)
    return f"{seen.name}{{{inside}}}" if inside else seen.name


def _status(counter: Counter, known: Mapping[str, Seen]) -> str:
    """Return the label that tells how a request ended, empty where there is none."""
    seen = known[counter.name]
    return next((label for label in counter.status if label in seen.labels), "")


def _counters(known: Mapping[str, Seen]) -> list[Counter]:
    """Return the counters of requests that there are, the best first."""
    there = [one for one in REQUESTS if one.name in known]
    return sorted(there, key=lambda one: not _status(one, known))


def _besides(chosen: str, there: Sequence[str]) -> str:
    others = [name for name in there if name != chosen]
    if not others:
        return ""
    return (
        f" {others[0]} is there, too."
        if len(others) == 1
        else f" {others[0]} and {len(others) - 1} more are there, too."
    )


def _rate(known: Mapping[str, Seen]) -> Chosen | None:
    counters = _counters(known)
    if not counters:
        return None
    best = counters[0]
    label = _status(best, known)
    told = f"it counts requests, and its label {label} tells how they ended" if label else "it counts requests"
    return Chosen(
        Signal.RATE, best.title, f"sum(rate({_of(known[best.name])}[{WINDOW}]))", best.name,
        f"{best.by}: {told}.{_besides(best.name, [one.name for one in counters])}",
    )  # fmt: skip


def _errors(known: Mapping[str, Seen]) -> Chosen | None:
    counters = _counters(known)
    for one in counters:
        label = _status(one, known)
        if label:
            seen = known[one.name]
            wrong = 'grpc_code!="OK"' if label == "grpc_code" else f'{label}=~"5.."'
            # A program that has not failed yet has no series of failures: that is 0, not unknown.
            failed = f"(sum(rate({_of(seen, wrong)}[{WINDOW}])) or vector(0))"
            query = f"{failed} / sum(rate({_of(seen)}[{WINDOW}]))"
            return Chosen(Signal.ERRORS, "Errors", query, one.name, f"{one.by}: the share of requests with {wrong}.")
    for exceptions in EXCEPTIONS:
        if exceptions.name in known and counters:
            seen, total = known[exceptions.name], known[counters[0].name]
            query = f"(sum(rate({_of(seen)}[{WINDOW}])) or vector(0)) / sum(rate({_of(total)}[{WINDOW}]))"
            return Chosen(
                Signal.ERRORS, "Exceptions", query, exceptions.name,
                f"{exceptions.by}: no counter of requests tells their status, so exceptions per request stand for it.",
            )  # fmt: skip
    if "probe_success" in known:
        return Chosen(
            Signal.ERRORS, "Failed checks", f"1 - avg(avg_over_time({_of(known['probe_success'])}[{WINDOW}]))",
            "probe_success", "nothing tells how its own requests end, so the share of failed checks stands for it.",
        )  # fmt: skip
    return None


def _latency(known: Mapping[str, Seen]) -> Chosen | None:
    there = [one for one in DURATIONS if f"{one.stem}_bucket" in known]
    if there:
        best = there[0]
        seen = known[f"{best.stem}_bucket"]
        query = f"histogram_quantile(0.95, sum by (le) (rate({_of(seen)}[{WINDOW}])))"
        besides = _besides(best.stem, [one.stem for one in there])
        return Chosen(
            Signal.LATENCY, f"{best.title}, 95 % within", query, seen.name, f"{best.by}: a histogram.{besides}"
        )
    for one in DURATIONS:
        if f"{one.stem}_sum" in known and f"{one.stem}_count" in known:
            total, count = known[f"{one.stem}_sum"], known[f"{one.stem}_count"]
            query = f"sum(rate({_of(total)}[{WINDOW}])) / sum(rate({_of(count)}[{WINDOW}]))"
            return Chosen(
                Signal.LATENCY, f"{one.title}, mean", query, one.stem,
                f"{one.by}: it has a sum and a count but no buckets, so only the mean can be told.",
            )  # fmt: skip
    if "probe_duration_seconds" in known:
        return Chosen(
            Signal.LATENCY, "Latency of checks, slowest",
            f"max(avg_over_time({_of(known['probe_duration_seconds'])}[{WINDOW}]))", "probe_duration_seconds",
            "nothing tells how long its own requests take, so the slowest check stands for them.",
        )  # fmt: skip
    return None


def _saturation(known: Mapping[str, Seen]) -> Chosen | None:
    for one in SATURATION:
        if all(name in known for name in one.needs):
            query = one.query
            for index, name in enumerate(one.needs):
                query = _filled(query, index, known[name])
            return Chosen(Signal.SATURATION, one.title, query, one.needs[0], f"{one.why}.")
    return None


def _filled(query: str, index: int, seen: Seen) -> str:
    """Put a selector in the place of `{0}` or, with a matcher of its own, of `{0:mode="idle"}`."""
    plain, begin = f"{{{index}}}", f"{{{index}:"
    query = query.replace(plain, _of(seen))
    while begin in query:
        before, _, rest = query.partition(begin)
        matcher, _, after = rest.partition("}")
        query = f"{before}{_of(seen, matcher)}{after}"
    return query


def scopes(application: str, hosts: Sequence[str] = ()) -> list[str]:
    """Return the matchers by which series may belong to an application, the surest first.

    Args:
        hosts: `host:port` of its environments.
    """
    name = _quoted(application)
    found = [f"application={name}", f"job={name}"]
    if hosts:
        found.append(f"instance=~{_quoted('|'.join(_literal(host) for host in hosts))}")
    return found


def discovery(scope: str) -> str:
    """Return the query that tells which of the metrics there are in a scope, and their telling labels."""
    wanted = _quoted("|".join(names()))
    return f"count by (__name__,{','.join(TOLD_LABELS)}) ({{__name__=~{wanted},{scope}}})"


def seen_of(rows: Iterable[Mapping[str, str]], scope: str) -> list[Seen]:
    """Read what `discovery` gave."""
    return [
        Seen(row["__name__"], frozenset(name for name in TOLD_LABELS if row.get(name)), scope)
        for row in rows
        if "__name__" in row
    ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _literal(text: str) -> str:
    """Return a text as a regular expression that matches only it."""
    return "".join(letter if letter.isalnum() or letter in "-_:" else f"\\{letter}" for letter in text)
