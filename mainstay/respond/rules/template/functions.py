"""The functions of templates: Go's own (text/template, Functions) and those of Prometheus (Template reference)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_plus

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

from mainstay.respond.rules.template import humane
from mainstay.respond.rules.template.go_format import MOST_CHARACTERS, real, shown, sprint, sprintf, sprintln
from mainstay.respond.rules.template.problem import RenderProblem
from mainstay.respond.rules.template.values import (
    AnyMap,
    Data,
    Moment,
    Sample,
    Samples,
    StringMap,
    Value,
    is_true,
    kind,
)

ANY, STRING, SAMPLE, SAMPLES = "any", "string", "sample", "samples"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and does. `rest` is the kind of any number of further arguments."""

    does: Callable[..., Value]
    takes: tuple[str, ...] = ()
    rest: str = ""


def _regex_options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    return options


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> "re2._Regexp":
    try:
        return re2.compile(pattern, _regex_options())
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
        raise RenderProblem(f"{pattern!r} is not a regular expression: {reason}") from None


def _match(pattern: str, text: str) -> bool:
    return _pattern(pattern).search(text) is not None


def _replace_all(pattern: str, replacement: str, text: str) -> str:
    """Replace as Go's Regexp.ReplaceAllString: an empty match right behind another is none."""
    out: list[str] = []
    size = copied = 0
    last_end = -1
    for found in _pattern(pattern).finditer(text):  # `search` from each place would convert the whole text each time
        begin, end = found.span()
        if end == begin and begin == last_end:
            continue
        piece = text[copied:begin] + _expanded(replacement, found)
        size += len(piece)
        if size > MOST_CHARACTERS:
            raise RenderProblem(f"reReplaceAll makes more than {MOST_CHARACTERS} characters")
        out.append(piece)
        copied = last_end = end
    return "".join(out) + text[copied:]


def _expanded(replacement: str, found: "re2._Match") -> str:
    """Expand `$1`, `${1}`, `$name` and `$$` as Go's Regexp.Expand: a name is as long as it can be."""
    out: list[str] = []
    place = 0
    while (dollar := replacement.find("$", place)) >= 0:
        out.append(replacement[place:dollar])
        place = dollar + 1
        if replacement.startswith("$", place):
            out.append("$")
            place += 1
            continue
        braced = replacement.startswith("{", place)
        begin = place + braced
        end = begin
        while end < len(replacement) and (replacement[end].isalnum() or replacement[end] == "_"):
            end += 1
        if end == begin or (braced and not replacement.startswith("}", end)):
            out.append("$")
            continue
        out.append(_group(found, replacement[begin:end]))
        place = end + braced
    return "".join([*out, replacement[place:]])


def _group(found: "re2._Match", name: str) -> str:
    if name.isascii() and name.isdigit():
        number = int(name) if len(name) < 6 else -1
        return (found.group(number) or "") if 0 <= number <= found.re.groups else ""
    return str(found.groupdict().get(name) or "")


def _index(value: Value, *keys: Value) -> Value:
    for key in keys:
        match value:
            case StringMap() | AnyMap():
                if not isinstance(key, str):
                    raise RenderProblem(f"index: a map takes a text as key, not {kind(key)}")
                value = value.get(key, "" if isinstance(value, StringMap) else None)
            case str() | list():
                if isinstance(key, bool) or not isinstance(key, int):
                    raise RenderProblem(f"index: a place is an integer, not {kind(key)}")
                items: Sequence[Value] = list(value.encode()) if isinstance(value, str) else value
                if not 0 <= key < len(items):
                    raise RenderProblem(f"index: {key} is beyond the {len(items)} that are there")
                value = items[key]
            case None:
                raise RenderProblem("index: there is nothing to look in (nil)")
            case _:
                raise RenderProblem(f"index: a value of type {kind(value)} has no places")
    return value


def _slice(value: Value, *places: Value) -> Value:
    if not isinstance(value, str | list):
        raise RenderProblem(f"slice: a value of type {kind(value)} cannot be cut")
    if len(places) > (2 if isinstance(value, str) else 3):
        raise RenderProblem("slice: too many places")
    size = len(value.encode()) if isinstance(value, str) else len(value)
    bounds = [0, size]
    for number, place in enumerate(places[:2]):
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place <= size:
            raise RenderProblem("slice: a place lies outside")
        bounds[number] = place
    if bounds[0] > bounds[1]:
        raise RenderProblem("slice: the end lies before the beginning")
    if isinstance(value, str):
        return value.encode()[bounds[0] : bounds[1]].decode("utf-8", "replace")
    cut = value[bounds[0] : bounds[1]]
    return Samples(value[bounds[0] : bounds[1]]) if isinstance(value, Samples) else list(cut)


def _length(value: Value) -> int:
    match value:
        case str():
            return len(value.encode())
        case StringMap() | AnyMap() | list():
            return len(value)
        case None:
            raise RenderProblem("len: nil has no length")
        case _:
            raise RenderProblem(f"len: a value of type {kind(value)} has no length")


def _basic(value: Value) -> str:
    match value:
        case bool() | int() | float() | str():
            return kind(value)
        case _:
            raise RenderProblem(f"values of type {kind(value)} cannot be compared")


def _equal(first: Value, *others: Value) -> bool:
    if not others:
        raise RenderProblem("eq: a second value is missing to compare with")
    found = False
    for other in others:
        if first is None or other is None:
            found = found or first is other
        elif _basic(first) != _basic(other):
            raise RenderProblem(_incomparable("eq", first, other))
        else:
            found = found or first == other
    return found


def _less(name: str, first: Value, second: Value) -> bool:
    if _basic(first) != _basic(second):
        raise RenderProblem(_incomparable(name, first, second))
    if isinstance(first, bool):
        raise RenderProblem(f"{name}: truth values have no order")
    return bool(first < second)  # type: ignore[operator]  # both are numbers of one type, or texts


def _less_or_equal(first: Value, second: Value, name: str = "le") -> bool:
    return _less(name, first, second) or _equal(first, second)


def _incomparable(name: str, first: Value, second: Value) -> str:
    number = next((value for value in (first, second) if isinstance(value, int) and not isinstance(value, bool)), None)
    mend = f"; write {number}.0 to compare with a float64" if number is not None else ""
    return f"{name}: {kind(first)} and {kind(second)} are incompatible types for comparison{mend}"


def _first(samples: Samples) -> Sample:
    if not samples:
        raise RenderProblem("first: the query gave nothing")
    return samples[0]


def _sorted_by(label: str, samples: Samples) -> Samples:
    return Samples(sorted(samples, key=lambda sample: sample.labels.get(label, "").encode()))


def _args(*values: Value) -> AnyMap:
    return AnyMap({f"arg{number}": value for number, value in enumerate(values)})


def _link(expression: str, tab: int) -> str:
    return f"/graph?g0.expr={_query_escaped(expression)}&g0.tab={tab}"


def _query_escaped(text: str) -> str:
    return quote_plus(text, safe="~", errors="replace")


_HTML = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})


def _joined(values: Sequence[Value]) -> str:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else sprint(values)


def special(
    data: Data, query: Callable[[str], Samples], now_ms: int, rendered: Callable[[str, Value], str]
) -> Mapping[str, Signature]:
    """Return the functions that need to know where and when they are called; `rendered` renders a template by name."""

    def path_prefix() -> str:
        rest = data.external_url.partition("://")[2] or data.external_url
        return "/" + rest.partition("/")[2].partition("?")[0].partition("#")[0] if "/" in rest else ""

    return {
        "query": Signature(query, (STRING,)),
        "externalURL": Signature(lambda: data.external_url),
        "pathPrefix": Signature(path_prefix),
        "now": Signature(lambda: now_ms / 1000),
        "tmpl": Signature(rendered, (STRING, ANY)),
    }


FIXED: Mapping[str, Signature] = {
    "eq": Signature(_equal, (ANY,), ANY),
    "ne": Signature(lambda first, second: not _equal(first, second), (ANY, ANY)),
    "lt": Signature(lambda first, second: _less("lt", first, second), (ANY, ANY)),
    # Go has `gt` as not `le` and `ge` as not `lt`: with NaN both are true.
    "le": Signature(_less_or_equal, (ANY, ANY)),
    "gt": Signature(lambda first, second: not _less_or_equal(first, second, "gt"), (ANY, ANY)),
    "ge": Signature(lambda first, second: not _less("ge", first, second), (ANY, ANY)),
    "not": Signature(lambda value: not is_true(value), (ANY,)),
    "index": Signature(_index, (ANY,), ANY),
    "slice": Signature(_slice, (ANY,), ANY),
    "len": Signature(_length, (ANY,)),
    "html": Signature(lambda *values: _joined(values).translate(_HTML), (), ANY),
    "urlquery": Signature(lambda *values: _query_escaped(_joined(values)), (), ANY),
    "print": Signature(lambda *values: sprint(values), (), ANY),
    "println": Signature(lambda *values: sprintln(values), (), ANY),
    "printf": Signature(lambda form, *values: sprintf(form, values), (STRING,), ANY),
    "first": Signature(_first, (SAMPLES,)),
    "label": Signature(lambda name, sample: sample.labels.get(name, ""), (STRING, SAMPLE)),
    "value": Signature(lambda sample: sample.value, (SAMPLE,)),
    "strvalue": Signature(lambda sample: sample.labels.get("__value__", ""), (SAMPLE,)),
    "sortByLabel": Signature(_sorted_by, (STRING, SAMPLES)),
    "args": Signature(_args, (), ANY),
    "safeHtml": Signature(lambda text: text, (STRING,)),
    "match": Signature(_match, (STRING, STRING)),
    "reReplaceAll": Signature(_replace_all, (STRING, STRING, STRING)),
    "title": Signature(humane.title, (STRING,)),
    "toUpper": Signature(humane.upper, (STRING,)),
    "toLower": Signature(humane.lower, (STRING,)),
    "graphLink": Signature(lambda expression: _link(expression, 0), (STRING,)),
    "tableLink": Signature(lambda expression: _link(expression, 1), (STRING,)),
    "stripPort": Signature(humane.strip_port, (STRING,)),
    "stripDomain": Signature(humane.strip_domain, (STRING,)),
    "humanize": Signature(humane.humanize, (ANY,)),
    "humanize1024": Signature(humane.humanize1024, (ANY,)),
    "humanizeDuration": Signature(humane.humanize_duration, (ANY,)),
    "humanizePercentage": Signature(humane.humanize_percentage, (ANY,)),
    "humanizeTimestamp": Signature(humane.humanize_timestamp, (ANY,)),
    "toTime": Signature(humane.to_time, (ANY,)),
    "toDuration": Signature(humane.to_duration, (ANY,)),
    "parseDuration": Signature(humane.parse_duration, (STRING,)),
    "urlQueryEscape": Signature(_query_escaped, (STRING,)),
}
# `and` and `or` look at their arguments one by one, so the renderer does them itself.
NAMES = frozenset(FIXED) | {"query", "externalURL", "pathPrefix", "now", "tmpl", "and", "or"}

_FITS: Mapping[str, tuple[type, ...]] = {STRING: (str,), SAMPLE: (Sample,), SAMPLES: (Samples,)}


def fit(value: Value, wanted: str) -> Value:
    """Return `value` if a function that wants `wanted` may take it.

    Raises:
        RenderProblem.
    """
    if wanted == ANY or isinstance(value, _FITS[wanted]):
        return value
    if wanted == SAMPLES and value is None:
        return Samples()
    raise RenderProblem(f"expected {wanted}, got {kind(value)} {_short(value)}".rstrip())


def _short(value: Value) -> str:
    text = real(value) if isinstance(value, float) else shown(value)
    return text if len(text) <= 40 and not isinstance(value, Moment) else ""
