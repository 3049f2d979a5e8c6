"""Random series as services have them, and random well-typed queries on them."""

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

# Samples lie off the grid of the queries, which stand at half seconds: no sample is ever on the edge of a window, where
# Prometheus 2 (closed on the left) and 3 (open) differ. So do the steps of subqueries, which are whole seconds.
BASE_MS = 1_699_999_200_000  # a full hour, so that all samples come into one block
INTERVAL_MS = 15_000
SAMPLES = 200
JOBS = {"shop": 3, "search": 2, "mail": 1}
HANDLERS = ("/", "/cart", "/api/v1")
CODES = ("200", "404", "500")
BOUNDS = ("0.05", "0.1", "0.25", "1", "5", "+Inf")

Series = dict[str, list[tuple[int, float]]]


def _times(offset_ms: int, chance: random.Random, gap: bool) -> list[int]:
    times = [BASE_MS + place * INTERVAL_MS + offset_ms for place in range(SAMPLES)]
    if gap:
        begin = chance.randrange(20, SAMPLES - 60)
        end = begin + chance.choice((1, 2, 10, 40))
        del times[begin:end]
    return times


def _counter(times: list[int], chance: random.Random, most: float) -> list[float]:
    # Counters stay far above what they gain between two samples: where a series begins within a window, Prometheus 2
    # and 3 extrapolate differently only if zero is nearer than the usual distance between samples. A reset soon after
    # the series begins would look like that.
    value = most * chance.uniform(50, 1000)
    floor = most * 40
    values = []
    since_begin, before = 0, 0
    for time in times:
        since_begin = since_begin + 1 if time - before == INTERVAL_MS else 0
        resets = chance.random() < 0.01 and since_begin > 20
        value = floor + chance.random() if resets else value + chance.random() * most
        values.append(value)
        before = time
    return values


def make_series(seed: int) -> Series:
    """Return series by name and their samples (unix milliseconds, value)."""
    chance = random.Random(seed)
    series: Series = {}

    def add(name: str, labels: dict[str, str], times: list[int], values: list[float]) -> None:
        inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
        series[f"{name}{{{inside}}}"] = list(zip(times, values, strict=True))

    for job, instances in JOBS.items():
        for instance in range(instances):
            target = {"job": job, "instance": f"{job}-{instance}:80"}
            times = _times(chance.randrange(1, 14_000) // 500 * 500 + 137, chance, instance == 1)
            add("up", target, times, [float(chance.random() > 0.03) for _ in times])
            add("build_info", {**target, "version": f"1.{instance % 2}"}, times, [1.0] * len(times))
            for handler in HANDLERS:
                for code in CODES:
                    late = times if chance.random() < 0.8 else times[chance.randrange(1, 120) :]
                    labels = {**target, "handler": handler, "code": code}
                    add("http_requests_total", labels, late, _counter(late, chance, 40 if code == "200" else 2))
                counts = [[chance.randrange(0, 9) for _ in BOUNDS] for _ in times]
                for place, bound in enumerate(BOUNDS):
                    total, values = 4000.0 * (place + 1), []
                    for row in counts:
                        total += sum(row[: place + 1])
                        values.append(total)
                    add(
                        "http_request_duration_seconds_bucket",
                        {**target, "handler": handler, "le": bound},
                        times,
                        values,
                    )
                add(
                    "http_request_duration_seconds_sum",
                    {**target, "handler": handler},
                    times,
                    _counter(times, chance, 9),
                )
                add("http_request_duration_seconds_count", {**target, "handler": handler}, times, values)
            phase = chance.random()
            for queue in ("a", "b"):
                level = chance.uniform(-50, 50)
                values = []
                for _ in times:
                    level += chance.uniform(-5, 5)
                    values.append(round(level, 3))
                add("queue_depth", {**target, "queue": queue}, times, values)
                odd = [chance.choice((math.nan, math.inf, -math.inf, 0.0, 1e-9, 1e17, 3.0)) for _ in times]
                mixed = [
                    strange if chance.random() < 0.1 else value for strange, value in zip(odd, values, strict=True)
                ]
                add("odd_gauge", {**target, "queue": queue}, times, mixed)
            add("temperature", target, times, [20 + 5 * math.sin(time / 3e5 + phase) for time in times])
    return series


@dataclass
class Random:
    """A source of random queries; one seed, one sequence."""

    chance: random.Random
    subqueries: int = 0  # around what is being made

    def pick(self, *choices: str) -> str:
        """Return one of the texts."""
        return self.chance.choice(choices)

    def chosen(self, *choices: tuple[int, Callable[[int], str]]) -> Callable[[int], str]:
        """Return one of the makers, by weight."""
        return self.chance.choices([maker for _, maker in choices], [weight for weight, _ in choices])[0]

    # Parts

    def duration(self) -> str:
        """Return a range."""
        return self.pick("30s", "1m", "90s", "2m", "5m", "5m", "5m", "10m", "1000s", "17s")

    def matchers(self, labels: dict[str, tuple[str, ...]]) -> str:
        """Return matchers in braces, or nothing."""
        found = []
        for label, values in labels.items():
            if self.chance.random() < 0.25:
                value = self.chance.choice(values)
                part = value[: max(1, len(value) // 2)].replace("+", r"\\+")
                found.append(
                    self.pick(
                        f'{label}="{value}"',
                        f'{label}="{value}"',
                        f'{label}!="{value}"',
                        f'{label}=~"{part}.*"',
                        f'{label}!~"{part}.*"',
                        f'{label}=~".+"',
                    )
                )
        return "{" + ",".join(found) + "}" if found else ""

    def selector(self, *metrics: str) -> str:
        """Return a vector selector without modifiers."""
        metric = self.pick(*metrics) if metrics else self.pick(*METRICS)
        return metric + self.matchers(METRICS[metric])

    def moved(self) -> str:
        """Return offset and @, mostly nothing."""
        moves = ""
        if self.chance.random() < 0.1:
            moves += self.pick(" @ start()", " @ end()", f" @ {BASE_MS // 1000 + self.chance.randrange(0, 3200)}.5")
        if self.chance.random() < 0.15:
            moves += f" offset {self.pick('30s', '1m', '5m', '-1m', '-45s', '7m')}"
        return moves

    def grouping(self) -> str:
        """Return by or without and labels, or nothing."""
        labels = ", ".join(
            self.chance.sample(("job", "instance", "handler", "code", "queue", "le"), self.chance.randrange(1, 3))
        )
        return self.pick("", f"by ({labels}) ", f"by ({labels}) ", f"without ({labels}) ")

    # Expressions. `depth` is how many levels may come below.

    def window(self, depth: int, *metrics: str) -> str:
        """Return a range vector."""
        if depth > 0 and self.chance.random() < 0.15:
            step = self.pick("30s", "1m", "15s", "47s", "")
            # The steps of a subquery are whole seconds, so a subquery inside must not reach back whole seconds.
            within = f"{self.duration()}{'500ms' if self.subqueries else ''}"
            self.subqueries += 1
            inner = self.bracketed(depth - 1)
            self.subqueries -= 1
            return f"{inner}[{within}:{step}]{self.moved()}"
        return f"{self.selector(*metrics)}[{self.duration()}]{self.moved()}"

    def bracketed(self, depth: int) -> str:
        """Return a vector that a subquery may follow."""
        return f"({self.vector(depth)})" if self.chance.random() < 0.5 else self.selector()

    def rate(self, depth: int) -> str:
        """Return a rate of counters."""
        function = self.pick("rate", "rate", "rate", "increase", "irate", "resets", "changes")
        return f"{function}({self.window(0, *COUNTERS)})"

    def over_time(self, depth: int) -> str:
        """Return a range function of anything."""
        window = self.window(depth, *GAUGES, "http_requests_total")
        fixed = re.compile(r" @ \S+(?=[^\]]*$)")
        return self.chosen(
            (8, lambda _: f"{self.pick(*OVER_TIME)}({window})"),
            (2, lambda _: f"quantile_over_time({self.number()}, {window})"),
            (1, lambda _: f"predict_linear({fixed.sub('', window)}, {self.pick('60', '600', '-100')})"),
            (1, lambda _: f"holt_winters({window}, {self.pick('0.1', '0.5')}, {self.pick('0.3', '0.9')})"),
            (1, lambda _: f"{self.pick('delta', 'idelta', 'deriv', 'irate')}({window})"),
        )(depth)

    def number(self) -> str:
        """Return a number for a quantile."""
        return self.pick("0.1", "0.5", "0.9", "0.9", "0.99", "0", "1", "0.37", "1.5", "-1", "NaN")

    def aggregation(self, depth: int) -> str:
        """Return an aggregation."""
        operator = self.pick("sum", "sum", "sum", "avg", "min", "max", "count", "group")
        return f"{operator} {self.grouping()}({self.vector(depth - 1)})"

    def spread(self, depth: int) -> str:
        """Return an aggregation that Prometheus 2 and 3 calculate alike of ordinary numbers only."""
        inner = self.pick(self.selector(*PLAIN), f"rate({self.window(0, *COUNTERS)})")
        # Ties are broken arbitrarily, so topk gets values that differ.
        distinct = self.pick(self.selector("queue_depth"), self.selector("temperature"))
        return self.pick(
            f"{self.pick('stddev', 'stdvar')} {self.grouping()}({inner})",
            f"quantile {self.grouping()}({self.number()}, {self.vector(depth - 1)})",
            f"{self.pick('topk', 'bottomk')} {self.grouping()}({self.pick('1', '3', '100', '0')}, {distinct})",
            f'count_values {self.grouping()}("value", {self.pick(self.selector("up"), f"round({inner})")})',
        )

    def histogram(self, depth: int) -> str:
        """Return a quantile of histograms."""
        quantile = self.pick("0.5", "0.9", "0.99", "0.123", "1.5", "-0.1")
        buckets = f"rate({self.window(0, 'http_request_duration_seconds_bucket')})"
        by = self.pick("le", "le, job", "le, handler", "le, instance, handler")
        return f"histogram_quantile({quantile}, {self.pick(buckets, f'sum by ({by}) ({buckets})')})"

    def elementwise(self, depth: int) -> str:
        """Return a function of each value."""
        inner = self.vector(depth - 1)
        return self.pick(
            f"{self.pick(*SIMPLE)}({inner})",
            f"{self.pick(*SIMPLE)}({inner})",
            f"round({inner}, {self.pick('0.1', '5', '0.25')})",
            f"clamp({inner}, {self.pick('0', '-10')}, {self.pick('50', '1')})",
            f"clamp_min({inner}, 1)",
            f"clamp_max({inner}, {self.scalar(depth - 1)})",
            f"-({inner})",
            f"timestamp({self.selector()}{self.pick('', ' offset 5m')})",
            f"{self.pick('sin', 'cos', 'tan')}({self.selector(*PLAIN)})",
            f"{self.pick(*CALENDAR)}(timestamp({self.selector()}))",
            f"absent({self.selector()})",
            f"absent_over_time({self.selector()}[{self.duration()}])",
            f"vector({self.scalar(depth - 1)})",
            f'label_replace({inner}, "{self.pick("new", "job", "code")}", "$1-{self.pick("x", "$2", "")}", '
            f'"{self.pick("instance", "handler", "nothing")}", "{self.pick("([a-z]+)-(.*)", "(.*)", "/(.+)")}")',
            f'label_join({inner}, "{self.pick("new", "instance")}", "-", "job", "{self.pick("code", "queue")}")',
            f"{self.pick('sort', 'sort_desc')}({inner})",
        )

    def scalar(self, depth: int) -> str:
        """Return a scalar."""
        if depth <= 0 or self.chance.random() < 0.6:
            return self.pick("2", "0.5", "-3", "1e3", "0", "time()", "pi()", "NaN", "Inf")
        operator, right = self.pick("+", "*", "/", "-", "^", "%", "atan2", "> bool"), self.scalar(depth - 1)
        return self.pick(
            f"scalar({self.vector(depth - 1)})",
            f"({self.scalar(depth - 1)} {operator} {right})",
        )

    def with_scalar(self, depth: int) -> str:
        """Return an operation of a vector and a scalar."""
        operator = self.pick("+", "-", "*", "/", "%", "^", "atan2", *COMPARISONS, *COMPARISONS)
        bool_ = " bool" if operator in COMPARISONS and self.chance.random() < 0.3 else ""
        vector = f"({self.vector(depth - 1)})"
        if operator == "atan2":  # which in Prometheus 2 leaves the metric's name
            vector = f"abs{vector}"
        if operator == "%":  # which makes a difference in the last digit a difference in the first
            vector = self.selector(*PLAIN)
        sides = [vector, self.scalar(depth - 1)]
        if self.chance.random() < 0.25:
            sides.reverse()
        return f"{sides[0]} {operator}{bool_} {sides[1]}"

    def two_vectors(self, depth: int) -> str:
        """Return an operation of two vectors, mostly one that matches."""
        operator = self.pick("+", "-", "*", "/", "/", "/", *COMPARISONS, "and", "or", "unless")
        bool_ = " bool" if operator in COMPARISONS and self.chance.random() < 0.4 else ""
        labels = self.pick("job", "instance", "job, instance", "job, instance, handler")
        if self.chance.random() < 0.25:
            many = self.pick("group_left ()", "group_left (version)")
            left, right = self.vector(depth - 1), self.pick("build_info", "build_info", "up", self.vector(0))
            if operator in ("and", "or", "unless"):
                return f"({left}) {operator} on ({labels}) ({right})"
            if self.chance.random() < 0.3:
                return f"({right}) {operator}{bool_} on ({labels}) {many.replace('left', 'right')} ({left})"
            return f"({left}) {operator}{bool_} on ({labels}) {many} ({right})"
        if self.chance.random() < 0.6:
            common = self.pick("by (job)", "by (instance)", "by (job, handler)", "by (job, instance)")
            left, right = (
                f"{self.pick('sum', 'max', 'avg')} {common} ({inner})"
                for inner in (self.pick(self.rate(0), self.selector(), self.over_time(0)) for _ in range(2))
            )
            how = self.pick("", "", f"on ({labels}) ", f"ignoring ({labels}) ")
        else:
            left, right = self.vector(depth - 1), self.vector(depth - 1)
            how = self.pick("", "ignoring (code) ", f"on ({labels}) ", "ignoring (queue, le) ")
        return f"({left}) {operator}{bool_} {how}({right})"

    def vector(self, depth: int) -> str:
        """Return an instant vector."""
        if depth <= 0:
            return self.chosen((3, lambda _: self.selector() + self.moved()), (3, self.rate), (1, self.over_time))(0)
        return self.chosen(
            (2, lambda _: self.selector() + self.moved()),
            (4, self.rate),
            (4, self.over_time),
            (7, self.aggregation),
            (2, self.spread),
            (2, self.histogram),
            (3, self.elementwise),
            (3, self.with_scalar),
            (4, self.two_vectors),
        )(depth)

    def query(self) -> str:
        """Return a query."""
        if self.chance.random() < 0.03:
            return self.scalar(3)
        return self.vector(self.chance.choice((1, 2, 2, 3)))


_TARGET = {"job": tuple(JOBS), "instance": ("shop-0:80", "search-1:80", "mail-0:80")}
METRICS: dict[str, dict[str, tuple[str, ...]]] = {
    "up": _TARGET,
    "build_info": {**_TARGET, "version": ("1.0", "1.1")},
    "http_requests_total": {**_TARGET, "handler": HANDLERS, "code": CODES},
    "http_request_duration_seconds_bucket": {**_TARGET, "handler": HANDLERS, "le": BOUNDS},
    "http_request_duration_seconds_sum": {**_TARGET, "handler": HANDLERS},
    "http_request_duration_seconds_count": {**_TARGET, "handler": HANDLERS},
    "queue_depth": {**_TARGET, "queue": ("a", "b")},
    "odd_gauge": {**_TARGET, "queue": ("a", "b")},
    "temperature": _TARGET,
    "nothing_here": _TARGET,
}
COUNTERS = (
    "http_requests_total",
    "http_requests_total",
    "http_request_duration_seconds_sum",
    "http_request_duration_seconds_count",
)
GAUGES = ("queue_depth", "odd_gauge", "temperature", "up")
PLAIN = ("queue_depth", "temperature", "http_requests_total")
OVER_TIME = tuple(
    f"{name}_over_time" for name in ("avg", "min", "max", "sum", "count", "last", "present", "stddev", "stdvar")
)
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
SIMPLE = (
    "abs",
    "ceil",
    "floor",
    "exp",
    "ln",
    "log2",
    "log10",
    "sqrt",
    "sgn",
    "atan",
    "tanh",
    "asinh",
    "deg",
    "rad",
)
CALENDAR = ("year", "month", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute")
