"""What could be written at a place of an expression: metrics, functions, labels, values. Pure; no Django, no NumPy.

`wanted` reads the text around the cursor; `ranked` orders what there is by how well it fits what was typed.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mainstay.observe.metrics.pages import scan
from mainstay.observe.metrics.pages.scan import GROUPING, Token
from mainstay.observe.metrics.promql.functions import FUNCTIONS
from mainstay.observe.metrics.promql.printed import label

MOST = 30
_MATCHES = ("=", "!=", "=~", "!~")


class Place(StrEnum):
    """What belongs where the cursor stands."""

    EXPRESSION = "expression"  # a metric, a function, a keyword
    LABEL = "label"  # a label's name, between braces
    VALUE = "value"  # a label's value
    GROUPING = "grouping"  # a label's name after by, on …
    SPAN = "span"  # a length of time, between brackets
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is being written: `typed` is its part before the cursor, `rest` how much of it follows the cursor."""

    place: Place
    typed: str = ""
    rest: int = 0
    metric: str = ""
    label: str = ""
    matchers: tuple[tuple[str, str, str], ...] = ()  # the others between the same braces: name, sign, text in quotes
    quoted: bool = False  # a value whose opening quote is there already
    metrics: tuple[str, ...] = ()  # all that the expression names

    @property
    def selector(self) -> str:
        """The selector of the series that are meant, without what is being written."""
        kept = [f"{name}{sign}{text}" for name, sign, text in self.matchers]
        if not self.metric and not kept:
            return ""
        return f"{self.metric}{{{','.join(kept)}}}" if kept else self.metric


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that could be written: what is shown and what is put in. `kind` names its sort."""

    name: str
    insert: str
    kind: str
    detail: str = ""
    doc: str = ""


def wanted(before: str, after: str = "") -> Wanted:
    """Return what belongs between `before` and `after`."""
    parts = scan.tokens(before, spaces=True)
    if "#" in before.rpartition("\n")[2] and not any(part.end == len(before) for part in parts):
        return Wanted(Place.NOTHING)  # within a comment
    last = parts[-1] if parts else None
    solid = [part for part in parts if part.kind != "space"]
    bracket = scan.unclosed(solid)
    names = tuple(scan.metrics(before + after))
    if last is not None and last.kind == "text" and not _closed(last.text):
        return _in_text(solid, bracket, last, after, names)
    typed, ahead = _typed(last), solid
    if typed:
        ahead = solid[:-1]
    if bracket is None:
        return _in_expression(typed, ahead, after, names)
    opener = solid[bracket]
    if opener.text == "[":
        typed = before[opener.end :].rpartition(":")[2].strip()
        return Wanted(Place.SPAN, typed, _rest(after))
    if opener.text == "{":
        return _in_braces(solid, bracket, typed, ahead, after, names)
    if bracket > 0 and solid[bracket - 1].text.lower() in GROUPING:
        return Wanted(Place.GROUPING, typed, _rest(after), metrics=names)
    return _in_expression(typed, ahead, after, names)


def _typed(last: Token | None) -> str:
    return last.text if last is not None and last.kind == "word" else ""


def _closed(text: str) -> bool:
    if len(text) < 2 or text[-1] != text[0]:
        return False
    return text[0] == "`" or (len(text) - len(text[:-1].rstrip("\\"))) % 2 == 1


def _rest(after: str) -> int:
    hit = re.match(r"[\w:]*", after)
    return hit.end() if hit else 0


def _in_expression(typed: str, ahead: Sequence[Token], after: str, names: tuple[str, ...]) -> Wanted:
    if ahead and not typed:
        before = ahead[-1]
        operand = before.kind in {"number", "text"} or before.text in {")", "}", "]"}
        if before.kind == "word" and before.text.lower() not in _OPERATORS:
            operand = True
        if operand:
            return Wanted(Place.NOTHING)
    return Wanted(Place.EXPRESSION, typed, _rest(after), metrics=names)


def _metric_of(solid: Sequence[Token], bracket: int) -> str:
    before = solid[bracket - 1] if bracket else None
    return before.text if before is not None and before.kind == "word" else ""


def _matchers(solid: Sequence[Token], bracket: int) -> tuple[tuple[str, str, str], ...]:
    """Return the finished matchers between the braces, as written."""
    found = []
    inside = solid[bracket + 1 :]
    for index in range(len(inside) - 2):
        name, sign, text = inside[index : index + 3]
        if name.kind == "word" and sign.text in _MATCHES and text.kind == "text" and _closed(text.text):
            found.append((name.text, sign.text, text.text))
    return tuple(found)


def _in_braces(
    solid: Sequence[Token], bracket: int, typed: str, ahead: Sequence[Token], after: str, names: tuple[str, ...]
) -> Wanted:
    metric, kept = _metric_of(solid, bracket), _matchers(solid, bracket)
    before = ahead[-1]
    if before.text in _MATCHES and len(ahead) - 2 > bracket and ahead[-2].kind == "word":
        label = ahead[-2].text
        return Wanted(Place.VALUE, typed, _rest(after), metric, label, kept, metrics=names)
    if before.text in {"{", ","}:
        return Wanted(Place.LABEL, typed, _rest(after), metric, matchers=kept, metrics=names)
    return Wanted(Place.NOTHING)


def _in_text(solid: Sequence[Token], bracket: int | None, last: Token, after: str, names: tuple[str, ...]) -> Wanted:
    if bracket is None or solid[bracket].text != "{" or len(solid) < 3 or solid[-2].text not in _MATCHES:
        return Wanted(Place.NOTHING)
    closing = after.find(last.text[0])
    rest = closing if closing >= 0 and "\n" not in after[:closing] and "}" not in after[:closing] else 0
    return Wanted(
        Place.VALUE, last.text[1:], rest, _metric_of(solid, bracket), solid[-3].text, _matchers(solid, bracket),
        quoted=True, metrics=names,
    )  # fmt: skip


# --- options --------------------------------------------------------------------------------------------------------

# Name, how it is used, what it means.
AGGREGATIONS: tuple[tuple[str, str, str], ...] = (
    ("sum", "sum by (label) (v)", "The sum of the series of each group."),
    ("avg", "avg by (label) (v)", "Their average."),
    ("min", "min by (label) (v)", "The smallest value of each group."),
    ("max", "max by (label) (v)", "The largest value of each group."),
    ("count", "count by (label) (v)", "How many series each group has."),
    ("group", "group by (label) (v)", "1 for each group."),
    ("stdvar", "stdvar by (label) (v)", "The variance within each group."),
    ("stddev", "stddev by (label) (v)", "The standard deviation within each group."),
    ("quantile", "quantile by (label) (φ, v)", "A quantile (0 to 1) over the series of each group."),
    ("topk", "topk(k, v)", "The k series with the largest values."),
    ("bottomk", "bottomk(k, v)", "The k series with the smallest values."),
    ("count_values", 'count_values("label", v)', "How many series have each value."),
    ("limitk", "limitk(k, v)", "k series, whichever."),
    ("limit_ratio", "limit_ratio(r, v)", "A share of the series, always the same ones."),
)
KEYWORDS: tuple[tuple[str, str, str], ...] = (
    ("by", "sum by (label) (v)", "Keep these labels."),
    ("without", "sum without (label) (v)", "Drop these labels."),
    ("and", "a and b", "What of a has its like in b."),
    ("or", "a or b", "All of a, and what of b has no like in a."),
    ("unless", "a unless b", "What of a has no like in b."),
    ("on", "a / on (label) b", "Match by these labels alone."),
    ("ignoring", "a / ignoring (label) b", "Match by all labels but these."),
    ("group_left", "a / on (label) group_left (more) b", "Many of a belong to one of b."),
    ("group_right", "a / on (label) group_right (more) b", "Many of b belong to one of a."),
    ("offset", "v offset 5m", "As it was that long before."),
    ("bool", "a > bool b", "0 or 1 in place of a filter."),
)
SPANS: tuple[tuple[str, str], ...] = (
    ("1m", "1 minute"),
    ("5m", "5 minutes: at least four samples when every 15 s to 1 min is scraped"),
    ("15m", "15 minutes"),
    ("30m", "30 minutes"),
    ("1h", "1 hour"),
    ("6h", "6 hours"),
    ("1d", "1 day"),
    ("7d", "7 days"),
)
_OPERATORS = frozenset({name for name, _, _ in KEYWORDS} | {"atan2"})  # after these an operand follows


def words() -> list[Option]:
    """Return functions, aggregations and keywords."""
    calls = [Option(one.name, f"{one.name}(", "function", one.signature, one.doc) for one in FUNCTIONS.values()]
    calls += [Option(name, f"{name}(", "aggregation", how, doc) for name, how, doc in AGGREGATIONS]
    return calls + [Option(name, f"{name} ", "keyword", how, doc) for name, how, doc in KEYWORDS]


def spans() -> list[Option]:
    """Return lengths of time."""
    return [Option(span, span, "span", "", doc) for span, doc in SPANS]


def values(found: Iterable[str], *, quoted: bool, sign: str = "=") -> list[Option]:
    """Return values of a label, in quotes unless those are there."""
    return [Option(text, _inside(text) if quoted else f'"{_inside(text)}"', "value") for text in found]


def _inside(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def labels(found: Iterable[str], *, between_braces: bool) -> list[Option]:
    """Return names of labels."""
    names = (name for name in found if name != "__name__")
    return [Option(name, f'{label(name)}="' if between_braces else label(name), "label") for name in names]


def ranked(options: Iterable[Option], typed: str, most: int = MOST) -> list[Option]:
    """Return those that fit what was typed, the best first: as a whole, from the start, from a word's start, within."""
    wanted_text = typed.lower()
    scored = []
    for index, option in enumerate(options):
        name = option.name.lower()
        place = name.find(wanted_text)
        if place < 0:
            if not _scattered(wanted_text, name):
                continue
            fit = 4
        elif name == wanted_text:
            fit = 0
        elif place == 0:
            fit = 1
        else:
            fit = 2 if name[place - 1] in "_:." else 3
        # Functions come in the order of their list, which begins with the most used; all else the shortest first.
        order = _ORDER.get(option.kind, 0)
        scored.append((fit, order, index if order else len(name) if wanted_text else 0, option.name, option))
    scored.sort(key=lambda one: one[:4])
    return [one[4] for one in scored[:most]]


_ORDER = {"metric": 0, "function": 1, "aggregation": 1, "keyword": 2}


def _scattered(typed: str, name: str) -> bool:
    """Tell whether the parts that were typed, divided by spaces or _, occur in this order: `htt tot`."""
    pieces = [piece for piece in re.split(r"[_\s]+", typed) if piece]
    if len(pieces) < 2:
        return False
    at = 0
    for piece in pieces:
        at = name.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True
