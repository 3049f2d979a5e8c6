"""Runner of Prometheus' own test suite: per file what passes, what does not and why.

    python -m mainstay.observe.metrics.promql.tests.conformance DIRECTORY

prints the table of docs/promql.md; `--write` puts it there. A file with something that is not read or not supported
is counted like any other.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Call, Edge, Kind, Selector, Subquery, walk
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range
from mainstay.observe.metrics.promql.result import Result
from mainstay.observe.metrics.promql.tests.promql_test_files import Case, Unread, cases_of, close, matches

DOCUMENT = Path(__file__).parents[5] / "docs" / "promql.md"
HEAD = ("| file | cases | passed | failed | left out |", "|---|---|---|---|---|")

# Prometheus runs its suite with the feature flag promql-delayed-name-removal.
LIMITS = Limits(delayed_names=True)

NATIVE = "native histograms"
STARTS = "start timestamps"
UNSUPPORTED = {
    "`info`": r"\binfo\s*\(",
    "`fill`": r"\bfill(_left|_right)?\s*\(",
    "`anchored`, `smoothed`": r"\b(anchored|smoothed)\b",
    "`histogram_quantiles`": r"\bhistogram_quantiles\b",
    "arithmetic in durations": r"\[[^\]\"']*(?:[-+*/%^]|\b(?:step|range|min|max|min_of|max_of)\s*\()[^\]\"']*\]"
    r"|\boffset\s*[-+]?\s*(?:\(|(?:step|range|min|max|min_of|max_of)\s*\()"
    r"|\boffset\s+[-+]?[\w.]+\s*[*/%^]",
    "labels `__type__` and `__unit__`": r"__(type|unit)__",
    "the hash of `limit_ratio`": r"\blimit_ratio\b",
}
"""What docs/promql.md says is not supported, by how a query or what it asks shows it. Such a case is left out only if
it does not come out as there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case: it passed, it failed (`error` says how), or it is left out (`reason` says why)."""

    file: str
    line: int
    query: str = ""
    error: str = ""
    reason: str = ""

    @property
    def id(self) -> str:
        """Return where the case stands."""
        return f"{self.file}:{self.line}"


def outcomes(directory: Path) -> dict[str, list[Outcome]]:
    """Run every case of every `*.test` file of a directory; by file."""
    return {path.name: list(outcomes_of(path)) for path in sorted(directory.glob("*.test"))}


def outcomes_of(path: Path) -> Iterator[Outcome]:
    """Run the cases of one file. Raises OSError only."""
    for case in cases_of(path):
        if isinstance(case, Unread):
            yield Outcome(case.file, case.line, reason=f"not read: {case.reason}")
            continue
        if case.native or case.starts:
            error = _error(case, _check_the_rest)
            reason = "" if error else NATIVE if case.native else STARTS
        else:
            error = _error(case, _check)
            reason = _unsupported(case) if error else ""
        yield Outcome(case.file, case.line, case.query, "" if reason else error, reason)


def table(found: Mapping[str, list[Outcome]]) -> list[str]:
    """Return the table of docs/promql.md, and below it the cases that failed."""
    rows = [_row(f"`{file}`", cases) for file, cases in found.items()]
    every = [one for cases in found.values() for one in cases]
    failed = [f"- `{one.id}` `{one.query}`: {' '.join(one.error.split())[:200]}" for one in every if one.error]
    return [*HEAD, *rows, _row("all", every), *(["", "Failed:", "", *failed] if failed else [])]


def _row(name: str, found: list[Outcome]) -> str:
    failed = sum(bool(one.error) for one in found)
    reasons = Counter(one.reason for one in found if one.reason)
    passed = len(found) - failed - reasons.total()
    told = ", ".join(
        f"{count} {reason}" for reason, count in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    )
    return f"| {name} | {len(found)} | {passed} | {failed} | {told} |"


def written(document: str, rows: list[str]) -> str:
    """Return the document with its table, and what stands below it, replaced.

    Raises:
        ValueError: the document has no such table.
    """
    before, head, rest = document.partition(HEAD[0])
    if not head:
        raise ValueError("the document has no table of conformance")
    return before + "\n".join(rows) + _OF_THE_TABLE.sub("", rest, count=1)


_OF_THE_TABLE = re.compile(r"\A(?:\n\|.*)*(?:\n\nFailed:\n(?:\n- .*)+)?")


_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`""")


def _unsupported(case: Case) -> str:
    shown = " ".join([_QUOTED.sub('""', case.query), *sorted(case.names)])
    return next((reason for reason, pattern in UNSUPPORTED.items() if re.search(pattern, shown, re.IGNORECASE)), "")


def _error(case: Case, check: Callable[[Case], None]) -> str:
    """Return how the answer differs from what is expected; empty if it does not."""
    try:
        check(case)
    except Exception as error:  # noqa: BLE001  # a defect of ours, too, is counted and named
        return str(error) or type(error).__name__
    return ""


class Different(Exception):
    """The answer is another than expected."""


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Different(otherwise)


def _must_be_close(value: float, wanted: object, place: str) -> None:
    _must(isinstance(wanted, float) and close(value, wanted), f"{place}: {value!r} is not {wanted!r}")


def _check(case: Case) -> None:
    if "fail" in case.flags:
        _check_failure(case)
        return
    result = _evaluated(case)
    if case.step:
        _check_range(case, result, case.start, case.step)
    elif case.raw is not None:
        _check_range(case, result, *case.raw)
    else:
        _check_instant(case, result)
        _check_in_the_middle_of_a_range(case)
    _compare_annotations(case, result)


def _check_the_rest(case: Case) -> None:
    """Compare what a case that is left out expects of the series that are numbers alone."""
    if not case.rest or "fail" in case.flags:
        return
    found = {tuple(sorted(labels.items())): dict(points) for labels, points in _evaluated(case).rows()}
    start, step = case.raw or (case.start, case.step)
    for labels, samples in case.rest:
        wanted = {start + place * step: sample for place, sample in enumerate(samples) if sample is not None}
        points = found.get(labels, {})
        _must(points.keys() == wanted.keys(), f"{labels}: at {list(points)}, not {list(wanted)}")
        for time, sample in wanted.items():
            _must_be_close(points[time], sample, f"{labels} at {time}")


def _evaluated(case: Case) -> Result:
    if case.step:
        return evaluate_range(case.query, case.source, case.start, case.end, case.step, limits=LIMITS)
    return evaluate(case.query, case.source, case.start, limits=LIMITS)


def _check_failure(case: Case) -> None:
    try:
        _evaluated(case)
    except QueryError as failure:
        if "fail" in case.messages:
            _must(matches(failure.message, *case.messages["fail"]), f"it fails with {failure.message!r}")
        _must("not supported" not in failure.message, f"it fails for another reason: {failure.message!r}")
        return
    raise Different("it does not fail")


def _check_instant(case: Case, result: Result) -> None:
    if case.text is not None:
        _must(result.text == case.text, f"{result.text!r} is not {case.text!r}")
        return
    if case.scalar is not None:
        _must(result.kind is Kind.SCALAR, f"{result.kind} is no scalar")
        _must_be_close(result.scalar, case.scalar, "the scalar")
        return
    found = [(tuple(sorted(labels.items())), points[0][1]) for labels, points in result.rows()]
    expected = [(labels, samples[0]) for labels, samples in case.series]
    if "ordered" not in case.flags:
        found.sort(key=lambda one: one[0])
        expected.sort(key=lambda one: one[0])
    have, want = [labels for labels, _ in found], [labels for labels, _ in expected]
    _must(have == want, f"the series are {have}, not {want}")
    for (labels, value), (_, wanted) in zip(found, expected, strict=True):
        _must_be_close(value, wanted, str(labels))


def _check_range(case: Case, result: Result, start_ms: int, step_ms: int) -> None:
    found = {tuple(sorted(labels.items())): dict(points) for labels, points in result.rows()}
    expected = {
        labels: {
            start_ms + place * step_ms: sample for place, sample in enumerate(samples) if isinstance(sample, float)
        }
        for labels, samples in case.series
    }
    _must(found.keys() == expected.keys(), f"the series are {list(found)}, not {list(expected)}")
    for labels, points in expected.items():
        _must(found[labels].keys() == points.keys(), f"{labels}: at {list(found[labels])}, not {list(points)}")
        for time, wanted in points.items():
            _must_be_close(found[labels][time], wanted, f"{labels} at {time}")


def _depends_on_the_range(query: str) -> bool:
    for node in walk(parse(query).node):
        if isinstance(node, Call) and node.function in ("start", "end", "step", "range"):
            return True
        if isinstance(node, Selector | Subquery) and isinstance(node.at, Edge):
            return True
    return False


def _check_in_the_middle_of_a_range(case: Case) -> None:
    """An instant query must say the same as one step of a range query around it."""
    expression = parse(case.query)
    if expression.kind in (Kind.MATRIX, Kind.STRING) or "ordered" in case.flags or _depends_on_the_range(case.query):
        return
    start = case.start - 60_000 if case.start >= 60_000 else case.start
    result = evaluate_range(expression, case.source, start, case.start + 60_000, 60_000, limits=LIMITS)
    found = {
        tuple(sorted(labels.items())): dict(points)[case.start]
        for labels, points in result.rows()
        if case.start in dict(points)
    }
    expected = dict(case.series) if case.scalar is None else {(): [case.scalar]}
    _must(found.keys() == expected.keys(), f"in a range the series are {list(found)}, not {list(expected)}")
    for labels, samples in expected.items():
        _must_be_close(found[labels], samples[0], f"in a range, {labels}")


def _compare_annotations(case: Case, result: Result) -> None:
    for name, messages in (("warn", result.warnings), ("info", result.infos)):
        if f"no_{name}" in case.flags:
            _must(not messages, f"{name}: {messages}")
        if name in case.flags:
            _must(bool(messages), f"{name} is missing")
        if name in case.messages:
            _must(any(matches(message, *case.messages[name]) for message in messages), f"{name}: {messages}")


def main(arguments: list[str]) -> int:
    """Print the table, or write it; 2 if there is nothing to run."""
    directories = [each for each in arguments if each != "--write"]
    if len(directories) != 1 or not any(Path(directories[0]).glob("*.test")):
        print("name a directory of *.test files", file=sys.stderr)
        return 2
    rows = table(outcomes(Path(directories[0])))
    if "--write" in arguments:
        DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8"), rows), "utf-8")
    else:
        print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
