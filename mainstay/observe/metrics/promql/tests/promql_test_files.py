"""Reader of the `*.test` files of Prometheus' own test suite: what they load, ask and expect.

The format is that of promql/promqltest/README.md there. What cannot be read is told as such, case by case.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mainstay.observe.metrics.promql.memory import MemorySource, labels_of
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import NAME, Aggregation, Binary, Call, Node, Range, Selector, walk
from mainstay.observe.metrics.promql.series import STALE

Labels = tuple[tuple[str, str], ...]
HISTOGRAM = "histogram"
Sample = float | str | None  # a number, HISTOGRAM, or nothing

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_NUMBER = r"(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|[iI]nf|NaN|nan)"
_VALUE = re.compile(rf"(?P<first>[-+]?{_NUMBER})(?P<step>[-+]{_NUMBER})?(?:x(?P<times>\d+))?$")
_TIME = r"(?:(?:\d+(?:ms|[smhdwy]))+|\d+)"
_START = re.compile(rf"_(?:x\d+)?|[-+]?{_TIME}(?:[-+]{_TIME})?(?:x\d+)?")
_STARTED = re.compile(r"(?P<series>(?:[^\s{@]+|(?=\{))(?:\{.*?\})?)@st(?:\s+(?P<starts>.*))?$")
_USES_STARTS = ("increase", "irate", "rate", "resets")
_INSTANT = re.compile(r"eval(?P<old>_\w+)?\s+instant\s+at\s+(?P<at>\S+)\s+(?P<query>.+)")
_RANGE = re.compile(
    r"eval(?P<old>_\w+)?\s+range\s+from\s+(?P<start>\S+)\s+to\s+(?P<end>\S+)\s+step\s+(?P<step>\S+)\s+(?P<query>.+)"
)
_POSITION = re.compile(r"\s*\(\d+:\d+\)")


class Unreadable(ValueError):
    """A part of a file is written in a way that is not read here; the message names it."""


def milliseconds(text: str) -> int:
    """Return a duration as the files write it: a number of seconds, or as in 1h30m."""
    found = re.fullmatch(r"(-?)(?:(\d+\.?\d*)|((?:\d+(?:ms|[smhdwy]))+))", text)
    if found is None:
        raise Unreadable(f"the time {text[:40]}")
    sign, seconds, parts = found.groups()
    if seconds:
        size = round(float(seconds) * 1000)
    else:
        size = sum(int(number) * _UNITS_MS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", parts))
    return -size if sign else size


@dataclass(frozen=True)
class Unread:
    """An `eval`, or another command, that cannot be read, and why."""

    file: str
    line: int
    reason: str


@dataclass
class Case:
    """One `eval` with what it expects. Times in unix milliseconds; `step` 0 means an instant query."""

    file: str
    line: int
    query: str
    start: int
    end: int
    step: int
    source: MemorySource
    histograms: MemorySource  # the series that hold native histograms, as series of zeros
    started: MemorySource  # the series with start timestamps, as series of zeros
    plain: set[Labels]  # the series that are neither, but for their names
    names: set[str]  # of all labels that are loaded
    flags: set[str] = field(default_factory=set)  # fail, ordered, warn, info, no_warn, no_info
    messages: dict[str, tuple[str, str]] = field(default_factory=dict)  # of a flag: "msg" or "regex", and the text
    text: str | None = None
    scalar: float | None = None
    series: list[tuple[Labels, list[Sample]]] = field(default_factory=list)
    raw: tuple[int, int] | None = None  # of the samples that an instant query of a range expects: first time, step

    @property
    def id(self) -> str:
        """Return where it stands."""
        return f"{self.file}:{self.line}"

    @property
    def native(self) -> bool:
        """Tell whether it is about native histograms: it expects or selects some, or calls a function for them."""
        if any(HISTOGRAM in samples for _, samples in self.series) or "{count:" in str(self.series):
            return True
        try:
            selectors = parse(self.query).selectors()
        except ValueError as wrong:
            return "native histograms" in str(wrong)
        return any(_has(self.histograms, one) for one in selectors)

    @property
    def starts(self) -> bool:
        """Tell whether start timestamps are part of what it asks."""
        calls = [node for node in self._nodes if isinstance(node, Call) and node.function in _USES_STARTS]
        ranges = [one for call in calls for one in call.arguments if isinstance(one, Range)]
        return any(_has(self.started, one.selector) for one in ranges)

    @property
    def rest(self) -> list[tuple[Labels, list[Sample]]]:
        """Return what is expected of the series without native histograms and start timestamps.

        That is nothing where a result may come of several series.
        """
        if not self._nodes or any(isinstance(node, Aggregation | Binary) for node in self._nodes):
            return []
        return [(labels, samples) for labels, samples in self.series if _nameless(labels) in self.plain]

    @property
    def _nodes(self) -> list[Node]:
        try:
            return list(walk(parse(self.query).node))
        except ValueError:
            return []


def _has(source: MemorySource, selector: Selector) -> bool:
    return bool(source.count(selector.matchers, -(10**15), 10**15))


def _nameless(labels: Labels) -> Labels:
    return tuple(one for one in labels if one[0] != NAME)


def _split(line: str) -> tuple[Labels, str]:
    """Split a line into the labels of a series and the rest."""
    try:
        return _labels_and_rest(line)
    except ValueError:
        raise Unreadable(f"the series {line[:40]}") from None


def _labels_and_rest(line: str) -> tuple[Labels, str]:
    if "{" in line.split(None, 1)[0]:
        depth, quoted = 0, ""
        for place, letter in enumerate(line):
            if quoted:
                quoted = "" if letter == quoted and line[place - 1] != "\\" else quoted
            elif letter in "\"'`":
                quoted = letter
            elif letter == "}":
                depth = place + 1
                break
        head, rest = line[:depth], line[depth:].strip()
    else:
        head, rest = (*line.split(None, 1), "")[:2]
    if re.fullmatch(r"\{\s*\}", head):
        return (), rest
    return tuple(sorted((name, value) for name, value in labels_of(head).items() if value)), rest.strip()


def samples_of(text: str) -> list[Sample]:
    """Return the values that a series notation stands for."""
    found: list[Sample] = []
    for token in re.findall(r"\{\{.*?\}\}(?:[-+]\{\{.*?\}\})?(?:x\d+)?|\S+", text):
        if token.startswith("{{"):
            times = re.search(r"\}\}x(\d+)$", token)
            found += [HISTOGRAM] * (int(times.group(1)) + 1 if times else 1)
        elif token.startswith("_"):
            if not re.fullmatch(r"_(x\d+)?", token):
                raise Unreadable(f"the value {token[:40]}")
            found += [None] * (int(token[2:]) if len(token) > 1 else 1)
        elif token == "stale":
            found.append(STALE)
        else:
            value = _VALUE.match(token)
            if value is None:
                raise Unreadable(f"the value {token[:40]}")
            first, step = float(value["first"]), float(value["step"] or 0)
            found += [first + step * place if place else first for place in range(int(value["times"] or 0) + 1)]
    return found


class _Storage:
    def __init__(self) -> None:
        self.floats: dict[Labels, dict[int, float]] = {}
        self.histograms: set[Labels] = set()
        self.started: set[Labels] = set()
        self.names: set[str] = set()  # of labels
        self.unread = ""  # why not all of it could be loaded
        self._sources: tuple[MemorySource, MemorySource, MemorySource, set[Labels]] | None = None

    def load(self, series: dict[Labels, list[Sample]], step: int) -> None:
        self._sources = None
        for labels, samples in series.items():
            self.names |= dict(labels).keys()
            kept = self.floats.setdefault(labels, {})
            for place, sample in enumerate(samples):
                if sample == HISTOGRAM:
                    self.histograms.add(labels)
                elif isinstance(sample, float):
                    kept.setdefault(place * step, sample)

    def sources(self) -> tuple[MemorySource, MemorySource, MemorySource, set[Labels]]:
        """Return the samples, what has native histograms, what has start timestamps, and what has neither."""
        if self._sources is None:
            other = set(map(_nameless, self.histograms | self.started))
            self._sources = (
                MemorySource((dict(labels), points.items()) for labels, points in self.floats.items()),
                MemorySource((dict(labels), [(0, 0.0)]) for labels in self.histograms),
                MemorySource((dict(labels), [(0, 0.0)]) for labels in self.started),
                set(map(_nameless, self.floats)) - other,
            )
        return self._sources


def _expectation(case: Case, line: str) -> bool:
    """Take in an `expect` line; tell whether it was one."""
    found = re.match(r"expect\s+(\w+)(?:\s+(msg|regex):\s*(.*)|\s+(.*))?$", line)
    if not found:
        return False
    name, how, message, rest = found.groups()
    if name == "string":
        case.text = rest[1:-1]
    elif name == "range":
        times = re.fullmatch(r"vector from (\S+) to \S+ step (\S+)", rest or "")
        if times is None:
            raise Unreadable("expect range")
        case.raw = milliseconds(times[1]), milliseconds(times[2])
    else:
        case.flags.add(name)
        if how:
            case.messages[name] = how, message
    return True


def _custom_buckets(labels: Labels) -> Labels:
    """Return the labels of the native histogram that `load_with_nhcb` makes of a classic one's series, or none."""
    names = dict(labels)
    base = re.fullmatch(r"(.+)_(?:bucket|count|sum)", names.get("__name__", ""))
    if base is None:
        return ()
    return tuple(sorted({**names, "__name__": base[1], "le": ""}.items() - {("le", "")}))


def _started(block: list[str]) -> tuple[set[Labels], list[str]]:
    """Return the series to which a `load` gives start timestamps, and its other lines.

    Raises:
        Unreadable.
    """
    started: set[Labels] = set()
    rest: list[str] = []
    for line in block:
        found = _STARTED.match(line)
        if found is None:
            rest.append(line)
            continue
        wrong = next((start for start in (found["starts"] or "").split() if not _START.fullmatch(start)), None)
        if wrong is not None:
            raise Unreadable(f"the start timestamp {wrong[:40]}")
        started.add(_split(found["series"])[0])
    return started, rest


def _load(storage: _Storage, line: str, block: list[str]) -> None:
    """Take in a `load`; what of it cannot be read is noted."""
    command, _, step = line.partition(" ")
    try:
        if command not in ("load", "load_with_nhcb"):
            raise Unreadable(f"the command {command}")
        every_ms = milliseconds(step.strip())
        started, plain = _started(block)
        series = {labels: samples_of(rest) for labels, rest in map(_split, plain)}
    except Unreadable as error:
        storage.unread = str(error)
        return
    storage.started |= started
    storage.load(series, every_ms)
    if command == "load_with_nhcb":
        storage.histograms |= {made for made in map(_custom_buckets, series) if made}


def _asked(file: str, number: int, line: str, block: list[str], storage: _Storage) -> Case:
    """Return what a command asks and expects.

    Raises:
        Unreadable.
    """
    instant, ranged = _INSTANT.match(line), _RANGE.match(line)
    found = instant or ranged
    if found is None:
        raise Unreadable(f"the command {line.split()[0]}")
    if storage.unread:
        raise Unreadable(storage.unread)
    times = [milliseconds(found[name]) for name in (("at", "at") if instant else ("start", "end"))]
    step = 0 if instant else milliseconds(found["step"])
    case = Case(file, number, found["query"], times[0], times[1], step, *storage.sources(), storage.names)
    if found["old"]:
        case.flags.add(found["old"].removeprefix("_"))
    for row in block:
        if _expectation(case, row):
            continue
        if re.fullmatch(rf"[-+]?{_NUMBER}", row):
            case.scalar = float(row)
            continue
        labels, rest = _split(row)
        case.series.append((labels, samples_of(rest)))
    return case


def cases_of(path: Path) -> Iterator[Case | Unread]:
    """Yield the cases of one file, and what of it cannot be read."""
    storage = _Storage()
    lines = ["" if line.strip().startswith("#") else line.strip() for line in path.read_text("utf-8").splitlines()]
    place = 0
    while place < len(lines):
        line, number = lines[place], place + 1
        place += 1
        if not line:
            continue
        if line == "clear":
            storage = _Storage()
            continue
        block: list[str] = []
        while place < len(lines) and lines[place]:  # until a blank line or a comment
            block.append(lines[place])
            place += 1
        if line.startswith("load"):
            _load(storage, line, block)
            continue
        try:
            yield _asked(path.name, number, line, block, storage)
        except Unreadable as error:
            yield Unread(path.name, number, str(error))


def close(value: float, expected: float) -> bool:
    """Tell whether two values are equal as far as the test suite asks: to one in a million."""
    if math.isnan(expected) or math.isnan(value):
        return math.isnan(expected) and math.isnan(value)
    if value == expected:
        return True
    if math.isinf(value) or math.isinf(expected):
        return False
    return abs(value - expected) < 1e-6 * (abs(value) + abs(expected)) and expected != 0 and value != 0


def matches(message: str, how: str, expected: str) -> bool:
    """Tell whether a message is the one expected; positions in the query are not compared."""
    message = _POSITION.sub("", message)
    if how == "regex":
        expected = expected.replace(r" \([0-9]+:[0-9]+\)", "")
        return re.search(expected, message) is not None
    return _POSITION.sub("", expected).strip() in message
