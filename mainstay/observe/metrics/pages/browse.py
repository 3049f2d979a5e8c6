"""The metrics there are, by family, each with a first expression to look at it. No Django, no NumPy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mainstay.observe.metrics.promql.printed import metric

SHOWN_MOST = 40
_PARTS = ("_bucket", "_count", "_sum", "_total", "_created")


@dataclass(frozen=True, slots=True)
class Family:
    """A metric as its program declares it."""

    name: str
    kind: str  # counter, gauge, histogram, summary, or empty where it is not told
    help: str
    expression: str


def families(names: Iterable[str], metadata: Mapping[str, Sequence[Mapping[str, str]]]) -> list[Family]:
    """Return the families of these series' names, in order; a histogram is one, not three."""
    present = set(names)
    found: dict[str, Family] = {}
    for name in sorted(present):
        family = family_of(name, present, metadata)
        if family not in found:
            about = (metadata.get(family) or metadata.get(name) or [{}])[0]
            kind = about.get("type", "")
            kind = "" if kind in {"unknown", "untyped"} else kind
            if not kind and f"{family}_bucket" in present:
                kind = "histogram"
            found[family] = Family(family, kind, about.get("help", ""), first_look(family, kind, present))
    return list(found.values())


def family_of(name: str, present: Iterable[str], metadata: Mapping[str, object]) -> str:
    """Return the family to which a series' name belongs."""
    if name in metadata:
        return name
    for part in _PARTS:
        stem = name.removesuffix(part)
        if stem != name and (stem in metadata or (part != "_total" and f"{stem}_bucket" in present)):
            return name if part == "_total" else stem
    return name


def first_look(name: str, kind: str, present: Iterable[str]) -> str:
    """Return an expression that shows what such a metric is for."""
    present = set(present)
    if kind == "histogram" or f"{name}_bucket" in present:
        return f"histogram_quantile(0.95, sum by (le) (rate({metric(f'{name}_bucket')}[5m])))"
    if kind == "summary" and f"{name}_count" in present:
        return f"rate({metric(f'{name}_sum')}[5m]) / rate({metric(f'{name}_count')}[5m])"
    if kind == "counter" or name.endswith("_total"):
        series = name if name in present or f"{name}_total" not in present else f"{name}_total"
        return f"rate({metric(series)}[5m])"
    return metric(name)


def matching(found: Iterable[Family], text: str) -> list[Family]:
    """Return families whose name or help has all words of `text`."""
    words = text.lower().split()[:6]
    return [one for one in found if all(word in one.name.lower() or word in one.help.lower() for word in words)]
