"""The explorer: ask the metrics in PromQL, see what they say, and share it by its address."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.kit import charts, rows
from mainstay.kit.lists import export, with_query
from mainstay.kit.live import is_fragment
from mainstay.kit.scales import known, quantity
from mainstay.observe.checks.wing import CHECKS_EDIT
from mainstay.observe.metrics.client import BadQuery, MetricsAway
from mainstay.observe.metrics.pages import asking, browse, completion
from mainstay.observe.metrics.pages.asking import Memory
from mainstay.observe.metrics.pages.completion import Option, Place, Wanted
from mainstay.observe.metrics.pages.explore import (
    RANGES_S,
    Answered,
    Asked,
    Line,
    answer,
    asked,
    name_of,
    telling,
    written,
)
from mainstay.observe.metrics.pages.units import Unit
from mainstay.observe.metrics.promql.printed import metric

LETTERS = "ABCDEF"
HEIGHT = 280
_FLAT = 0.2  # values that differ by less of their size are drawn without the stretch down to 0
_KEPT_S = 45.0
_memory = Memory(_KEPT_S)
_PARAMETER_MOST = 20_000


@needs(OPERATIONS_VIEW, "GET")
def explore(request: HttpRequest) -> HttpResponseBase:
    """Evaluate the expressions in the address, as chart and table; or export them."""
    now = clock.now()
    zone = timezone.get_current_timezone()
    times = asked(dict(request.GET.lists()), now.timestamp(), zone)
    if "format" in request.GET and times.expressions:
        file = export(request, "metrics", _COLUMNS, _exported(times))
        if file is not None:
            return file
    if is_fragment(request, "browse"):
        return render(request, "metrics/explore.html#browse", _browsed(request))
    answers = _answers(times)
    context: dict[str, Any] = {
        "fragment": is_fragment(request, "results"),
        "times": times,
        "ranges": list(RANGES_S),
        "from_text": _local(times.start),
        "to_text": _local(times.end),
        "fields": _fields(request, answers),
        "blank": {"index": len(LETTERS), "text": "", "letter": "", "problem": None},
        "answers": answers,
        "source": asking.source_name(),
        "place": "explore",
        "pinned": _pinned(request, times),
        "may_edit": actor_of(request).may(CHECKS_EDIT),
        "new_rule": _address("rule_new"),
        **_drawn(answers, times),
    }
    context["title"], context["sub"] = _headline(answers, times)
    if not answers:
        context |= _browsed(request)
        if context["away"]:
            context["title"], context["sub"] = "The metrics do not answer.", "Checks go on; rules say “unknown”."
        elif context["nothing_kept"]:
            context["title"], context["sub"] = (
                "There are no metrics yet.",
                "Results of checks and scraped targets come here.",
            )
    answer_ = render(request, "metrics/explore.html" + ("#results" if context["fragment"] else ""), context)
    answer_.headers["Vary"] = "HX-Request, HX-Target, Cookie"
    return answer_


def _answers(times: Asked) -> list[Answered]:
    found: list[Answered] = []
    drawn = 0
    several = len(times.expressions) > 1
    for index, text in enumerate(times.expressions):
        one = answer(asking.client(), text, times, letter=LETTERS[index] if several else "", first_tone=drawn)
        drawn += len(one.lines)
        found.append(one)
        if one.problem is not None and one.problem.away:
            break  # nor will it answer the next one
    return found


def _fields(request: HttpRequest, answers: Sequence[Answered]) -> list[dict[str, Any]]:
    """Return the fields as they were sent, empty ones too: an error belongs to its place."""
    given = [text[:_PARAMETER_MOST] for text in request.GET.getlist("q")[: len(LETTERS)]] or [""]
    problems = iter(one.problem for one in answers)
    several = len([text for text in given if text.strip()]) > 1
    found = []
    letters = iter(LETTERS)
    for index, text in enumerate(given):
        asked_here = bool(text.replace("\0", "").strip())
        problem = next(problems, None) if asked_here else None
        found.append(
            {
                "index": index,
                "text": text,
                "letter": next(letters) if several and asked_here else "",
                "problem": problem if problem is not None and not problem.away else None,
            }
        )
    return found


def _headline(answers: Sequence[Answered], times: Asked) -> tuple[str, str]:
    if not answers:
        return "What do the metrics say?", "Ask in PromQL, or start from one of the metrics below."
    span = f"over {times.words}, a point every {rows.write_duration(times.step_s)}"
    bad = [one.problem for one in answers if one.problem is not None]
    if any(problem.away for problem in bad):
        return "The metrics do not answer.", "So nothing is known; that is not the same as nothing happened."
    if bad and len(bad) == len(answers):
        return "That cannot be evaluated." if len(
            bad
        ) == 1 else "None of these can be evaluated.", "The reason stands below it."
    total = sum(one.total for one in answers)
    if not total:
        return "No series matches.", f"{times.words[:1].upper()}{times.words[1:]}. {_nothing_hint(answers)}"
    drawn = sum(len(one.lines) for one in answers)
    if total == 1 and len(answers) == 1:
        (line,) = answers[0].lines
        text = f"{_plain(line.last, answers[0].unit)} at last, {_plain(line.high, answers[0].unit)} at most."
        return text, f"1 series {span}"
    count = f"{total:,} series" if drawn == total else f"{total:,} series, {drawn} of them drawn"
    return f"{count}.", f"{span[:1].upper()}{span[1:]}"


def _nothing_hint(answers: Sequence[Answered]) -> str:
    return "Check the name and the labels, or look further back." if answers else ""


def _plain(value: float | None, unit: Unit) -> str:
    return figure(value, unit, html=False)


def figure(value: float | None, unit: Unit, *, html: bool = True) -> str:
    """Write a value that `Unit.factor` has been applied to; a unix time as a date, what is no number as it is."""
    if value is None:
        return "–"
    if known(value) is None:
        return "NaN" if value != value else "+Inf" if value > 0 else "−Inf"
    if unit.base == "time" and not unit.per_second and 0 < value < 32_503_680_000:
        at = timezone.localtime(datetime.fromtimestamp(value, UTC))
        return f"{at.day} {at:%b %Y, %H:%M}"
    return rows.quantity(value, unit.shown) if html else quantity(value, unit.shown)


# --- drawing --------------------------------------------------------------------------------------------------------


def _drawn(answers: Sequence[Answered], times: Asked) -> dict[str, Any]:
    """Return a chart for each unit, and the table of all lines."""
    several = sum(1 for one in answers if one.lines) > 1
    tells = {id(one): telling([line.labels for line in one.lines]) for one in answers}
    groups: dict[tuple[str, float], list[tuple[Answered, Line]]] = {}
    for one in answers:
        for line in one.lines:
            groups.setdefault((one.unit.shown, one.unit.factor), []).append((one, line))
    number = 0
    drawings, table = [], []
    for (unit, _), members in groups.items():
        series = []
        for one, line in members:
            series.append(
                charts.Series(_label(one, line, tells[id(one)], several=several), line.points, line.tone, line.dash)
            )
        drawings.append(_chart(series, unit, times, [line for _, line in members]))
    for one in answers:
        found = []
        for line in one.lines:
            found.append(_row(one, line, tells[id(one)], number))
            number += 1
        table.append({"answer": one, "rows": found, "note": _note(one), "common": _shown_common(one)})
    return {"charts": drawings, "tables": table, "drawn": number}


def _shown_common(one: Answered) -> list[tuple[str, str]]:
    return [(name, value) for name, value in sorted(one.common.items()) if name != "__name__"]


def _chart(series: Sequence[charts.Series], unit: str, times: Asked, lines: Sequence[Line]) -> dict[str, Any]:
    low = min((line.low for line in lines if line.low is not None), default=0.0)
    high = max((line.high for line in lines if line.high is not None), default=0.0)
    flat = low > 0 and high - low < _FLAT * high
    svg = charts.line_chart(
        series, start=times.start, end=times.end, unit=unit, zone=timezone.get_current_timezone(),
        gap_s=times.step_s * 1.5, height=HEIGHT, width=960, many=len(series) > 1, from_zero=not flat,
        title="Course of the values",
    )  # fmt: skip
    return {"svg": mark_safe(svg), "flat": flat and high > low}  # noqa: S308 - charts escape


def _label(one: Answered, line: Line, tells: str, *, several: bool) -> str:
    metric, own = name_of(line.labels, one.common, "value")
    text = line.labels.get(tells, "") or ", ".join(value for _, value in own) or metric
    return f"{one.letter} {text}" if several and one.letter else text


def _row(one: Answered, line: Line, tells: str, number: int) -> dict[str, Any]:
    metric, own = name_of(line.labels, one.common, "value")
    first = [pair for pair in own if pair[0] == tells] or own
    return {
        "number": number,
        "swatch": _swatch(line),
        "metric": metric,
        "labels": first,
        "rest": [pair for pair in own if pair not in first],
        "series": written(line.labels),
        "last": figure(line.last, one.unit),
        "low": figure(line.low, one.unit),
        "mean": figure(line.mean, one.unit),
        "high": figure(line.high, one.unit),
    }


def _swatch(line: Line) -> SafeString:
    dash = f" c-dash-{line.dash + 1}" if line.dash else ""
    return format_html(
        '<svg class="swatch" width="20" height="8" aria-hidden="true">'
        '<path d="M1 4H19" class="c-line{} tone-{}"/></svg>',
        dash,
        line.tone,
    )


def _note(one: Answered) -> str:
    if one.total <= len(one.lines) and not one.highest_only:
        return ""
    which = "the highest at each moment" if one.highest_only else "those with the highest last values"
    by = " or ".join(f"{name} ({count:,} values)" for name, count in one.narrow_by[:3])
    hint = f" Narrow by {by}, or take the sum of them." if by else ""
    return f"Showing {len(one.lines)} of {one.total:,} series: {which}.{hint}"


def _local(at: float) -> str:
    return timezone.localtime(datetime.fromtimestamp(at, UTC)).strftime("%Y-%m-%dT%H:%M")


def _pinned(request: HttpRequest, times: Asked) -> str:
    begin, end = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (times.start, times.end))
    return with_query(request, range="custom", **{"from": begin, "to": end})


def _address(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


_COLUMNS: dict[str, Any] = {
    "expression": lambda one: one[0],
    "series": lambda one: written(one[1]),
    "labels": lambda one: dict(one[1]),
    "at": lambda one: datetime.fromtimestamp(one[2], UTC),
    "value": lambda one: one[3] if known(one[3]) is not None else str(one[3]),
}


def _exported(times: Asked) -> Iterator[tuple[str, Mapping[str, str], float, float]]:
    """Yield every sample of every expression, as the server gave it: without unit, none left out."""
    for text in times.expressions:
        try:
            curves = asking.client().query_range(text, times.start, times.end, times.step_s)
        except (BadQuery, MetricsAway):
            continue
        for curve in curves:
            for at, value in curve.points:
                yield text, curve.labels, at, value


# --- what there is --------------------------------------------------------------------------------------------------


def _browsed(request: HttpRequest) -> dict[str, Any]:
    text = request.GET.get("find", "")[:100].replace("\0", "")
    try:
        found = browse.families(_metric_names(), _metadata())
    except (MetricsAway, BadQuery) as error:
        return {"away": str(error), "nothing_kept": False}
    fitting = browse.matching(found, text)
    return {
        "away": "",
        "nothing_kept": not found,
        "find": text,
        "families": fitting[: browse.SHOWN_MOST],
        "families_left": max(0, len(fitting) - browse.SHOWN_MOST),
        "families_all": len(found),
        "targets": _address("targets"),
    }


def _metric_names() -> list[str]:
    return _memory.get("names", lambda: asking.client().label_values("__name__"))


def _metadata() -> dict[str, list[dict[str, str]]]:
    def ask() -> dict[str, list[dict[str, str]]]:
        try:
            return asking.client().metadata()
        except BadQuery:
            return {}  # some servers keep none

    return _memory.get("metadata", ask)


def forget() -> None:
    """Forget what was asked, for tests."""
    _memory.forget()


# --- while somebody types -------------------------------------------------------------------------------------------


@needs(OPERATIONS_VIEW, "GET")
def complete(request: HttpRequest) -> JsonResponse:
    """Return what could stand at the cursor: between `before` and `after`."""
    before = request.GET.get("before", "")[-_PARAMETER_MOST:]
    after = request.GET.get("after", "")[:_PARAMETER_MOST]
    want = completion.wanted(before, after)
    away = ""
    try:
        options = completion.ranked(_options(want), want.typed)
    except (MetricsAway, BadQuery) as error:
        away, options = str(error), completion.ranked(_without_source(want), want.typed)
    if len(options) == 1 and options[0].name == want.typed and want.place is not Place.VALUE:
        options = []  # it is written already
    return JsonResponse(
        {
            "place": want.place.value,
            # As the browser counts: in units of UTF-16.
            "back": len(want.typed.encode("utf-16-le")) // 2,
            "rest": len(after[: want.rest].encode("utf-16-le")) // 2,
            "away": away,
            "options": [
                {"name": o.name, "insert": o.insert, "kind": o.kind, "detail": o.detail, "doc": o.doc} for o in options
            ],
        }
    )


def _without_source(want: Wanted) -> list[Option]:
    if want.place is Place.EXPRESSION:
        return completion.words()
    return completion.spans() if want.place is Place.SPAN else []


def _options(want: Wanted) -> list[Option]:
    if want.place is Place.SPAN:
        return completion.spans()
    if want.place is Place.EXPRESSION:
        return [*_metric_options(), *completion.words()]
    if want.place is Place.LABEL:
        return completion.labels(_labels_of((want.selector,) if want.selector else ()), between_braces=True)
    if want.place is Place.GROUPING:
        return completion.labels(_labels_of(want.metrics), between_braces=False)
    if want.place is Place.VALUE:
        matches = (want.selector,) if want.selector else ()
        if want.label == "__name__":
            matches = ()
        key = ("values", want.label, matches)
        found = _memory.get(key, lambda: asking.client().label_values(want.label, matches))
        return completion.values(found, quoted=want.quoted)
    return []


def _labels_of(matches: Sequence[str]) -> list[str]:
    return _memory.get(("labels", tuple(matches)), lambda: asking.client().labels(list(matches)))


def _metric_options() -> list[Option]:
    def ask() -> list[Option]:
        names, metadata = _metric_names(), _metadata()
        present = set(names)
        found = []
        for name in names:
            family = browse.family_of(name, present, metadata)
            about = (metadata.get(name) or metadata.get(family) or [{}])[0]
            kind = about.get("type", "")
            found.append(
                Option(
                    name,
                    metric(name),
                    "metric",
                    "" if kind in {"unknown", "untyped"} else kind,
                    about.get("help", "")[:300],
                )
            )
        return found

    return _memory.get("options", ask)
