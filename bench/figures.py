"""A figure with its aim and its peers; the table that people read and the file that programs read."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
NOT_INSTALLED = "not installed"


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound that a figure shall keep, exclusive."""

    bound: float
    most: bool = True  # at most; else at least

    def met(self, value: float) -> bool:
        """Tell whether `value` keeps the bound. Not-a-number never does: nothing was measured."""
        return value < self.bound if self.most else value > self.bound


@dataclass(frozen=True, slots=True)
class Peer:
    """The same figure of another program; `value` is None where nothing could be measured."""

    name: str
    value: float | None
    where: str  # "this run", "measured elsewhere", "not installed"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `higher`: more is better."""

    name: str
    value: float
    unit: str
    aim: Aim | None = None
    peers: tuple[Peer, ...] = ()
    higher: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without aim."""
        return None if self.aim is None else self.aim.met(self.value)

    def ratio(self, peer: Peer) -> float | None:
        """Return how many times better than the peer this is; below 1 it is worse."""
        if peer.value is None or not self.value or not peer.value or math.isnan(self.value):
            return None
        return self.value / peer.value if self.higher else peer.value / self.value

    def document(self) -> dict[str, Any]:
        """Return the figure for the file."""
        return asdict(self) | {
            "met": self.met,
            "ratios": {peer.name: ratio for peer in self.peers if (ratio := self.ratio(peer)) is not None},
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that could not be measured, and why. It is shown, so that nobody takes it for measured."""

    name: str
    why: str


Line = Figure | Skipped


def elsewhere(key: str) -> Peer:
    """Return the figure of a peer that docs/benchmarks.md quotes under `key`.

    Raises:
        KeyError: the document has no such row.
    """
    name, value = _quoted()[key]
    return Peer(name, value, "measured elsewhere")


@cache
def _quoted() -> dict[str, tuple[str, float]]:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \| [^|]+ \| ([\d.,]+) [^|]*\|$", DOCUMENT.read_text(), re.MULTILINE)
    return {key: (name.strip(), float(value.replace(",", ""))) for key, name, value in rows}


def text(value: float, unit: str) -> str:
    """Return a value with three significant digits, or whole when it is large."""
    if math.isnan(value):
        return "none"
    shown = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{shown} {unit}".strip()


def table(lines: Sequence[Line]) -> str:
    """Return the lines as a table of plain text; columns that nothing fills are left out."""
    rows = [("figure", "ours", "peer", "ratio", "aim", "met", "")]
    skipped = []
    for line in lines:
        if isinstance(line, Skipped):
            skipped.append(f"{line.name}: not measured: {line.why}")
            continue
        aim = f"{'<' if line.aim.most else '>'} {text(line.aim.bound, line.unit)}" if line.aim else ""
        met = {None: "", True: "yes", False: "NO"}[line.met]
        first, last = (line.name, text(line.value, line.unit)), (aim, met, line.note)
        for peer in line.peers or (None,):
            rows.append((*first, *_peer(line, peer), *last))
            first, last = ("", ""), ("", "", "")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    empty = {column for column in range(len(widths)) if not any(row[column] for row in rows[1:])}
    rows.insert(1, tuple("-" * width if name else "" for name, width in zip(rows[0], widths, strict=True)))  # type: ignore[arg-type]  # of the same length
    out = [
        "  ".join(cell.ljust(widths[column]) for column, cell in enumerate(row) if column not in empty).rstrip()
        for row in (rows if len(rows) > 2 else [])
    ]
    return "\n".join([*out, *skipped])


def _peer(figure: Figure, peer: Peer | None) -> tuple[str, str]:
    if peer is None:
        return "", ""
    if peer.value is None:
        return f"{peer.name}: {peer.where}", ""
    ratio = figure.ratio(peer)
    mark = "" if peer.where == "this run" else f" ({peer.where})"
    return f"{peer.name}: {text(peer.value, figure.unit)}{mark}", f"{ratio:.3g} ×" if ratio is not None else ""
