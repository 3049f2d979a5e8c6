"""Components and what they need, drawn in layers from left to right: pure, SVG text, nothing external."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 148, 32
GAP_X, GAP_Y, MARGIN = 56, 12, 8
CHARACTERS = 18  # that fit into a node
SWEEPS = 6
STAND_IN_HEIGHT = 4
_STAND_IN = "\0"


@dataclass(frozen=True, slots=True)
class Node:
    """One component. `tone` colours it (ok, warn, bad, quiet; empty: not watched), `words` tell it without colour."""

    key: str
    label: str
    href: str = ""
    tone: str = ""
    words: str = ""
    foreign: bool = False  # of another application


@dataclass(frozen=True, slots=True)
class Laid:
    """Keys by layer, left to right; `routes` leads each tie through the stand-ins that keep room for its line."""

    layers: list[list[str]]
    routes: dict[tuple[str, str], list[str]]


def lay(keys: Sequence[str], needs: Mapping[str, Sequence[str]]) -> Laid:
    """Lay `keys` in layers so that each lies left of all that it needs.

    `needs` is free of cycles (the catalog refuses them); ties to unknown keys are ignored. Where a tie spans layers,
    a stand-in keeps room for its line, so that it does not run behind other components.
    """
    depth = _depths(keys, needs)
    deepest = max(depth.values(), default=0)
    found: list[list[str]] = [[] for _ in range(deepest + 1)]
    for key in keys:
        found[deepest - depth[key]].append(key)
    routes: dict[tuple[str, str], list[str]] = {}
    neighbours: dict[str, list[str]] = {}
    for one in keys:
        for other in needs.get(one, ()):
            if other not in depth:
                continue
            between = [f"{_STAND_IN}{one}>{other}@{level}" for level in range(depth[one] - 1, depth[other], -1)]
            for level, key in zip(range(depth[one] - 1, depth[other], -1), between, strict=True):
                found[deepest - level].append(key)
            route = [one, *between, other]
            routes[one, other] = route
            for left, right in pairwise(route):
                neighbours.setdefault(left, []).append(right)
                neighbours.setdefault(right, []).append(left)
    _untangle(found, neighbours)
    return Laid(found, routes)


def _depths(keys: Sequence[str], needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the length of the longest chain of needs below each key. Iterative: a long chain exhausts no stack."""
    known = set(keys)
    depth: dict[str, int] = {}
    for root in keys:
        work = [(root, False)]
        while work:
            node, leaving = work.pop()
            if leaving:
                depth[node] = max((depth[other] + 1 for other in needs.get(node, ()) if other in known), default=0)
            elif node not in depth:
                work.append((node, True))
                work.extend((other, False) for other in needs.get(node, ()) if other in known and other not in depth)
    return depth


def _untangle(found: list[list[str]], neighbours: Mapping[str, Sequence[str]]) -> None:
    """Order each layer by the mean place of its neighbours, which undoes most crossings."""

    def mean(key: str, place: Mapping[str, float]) -> float:
        around = [place[other] for other in neighbours.get(key, ())]
        return sum(around) / len(around) if around else place[key]

    for sweep in range(SWEEPS):
        place = {key: i - len(layer) / 2 for layer in found for i, key in enumerate(layer)}
        for layer in found if sweep % 2 == 0 else found[::-1]:
            means = {key: mean(key, place) for key in layer}
            layer.sort(key=means.__getitem__)
            place.update({key: i - len(layer) / 2 for i, key in enumerate(layer)})


def draw(nodes: Sequence[Node], needs: Mapping[str, Sequence[str]], title: str) -> str:
    """Return the graph as SVG; coloured by the classes of `pages-watch.css`."""
    by_key = {node.key: node for node in nodes}
    laid = lay([node.key for node in nodes], needs)
    heights = [sum(_height(key) for key in layer) + (len(layer) - 1) * GAP_Y for layer in laid.layers]
    height, width = max(heights) + 2 * MARGIN, len(heights) * WIDTH + (len(heights) - 1) * GAP_X + 2 * MARGIN
    at: dict[str, tuple[float, float]] = {}  # left, middle
    for i, layer in enumerate(laid.layers):
        y = (height - heights[i]) / 2
        for key in layer:
            at[key] = (MARGIN + i * (WIDTH + GAP_X), y + _height(key) / 2)
            y += _height(key) + GAP_Y
    lines = "".join(_line([at[key] for key in route]) for route in laid.routes.values())
    boxes = "".join(_box(by_key[key], *at[key]) for key in at if key in by_key)
    said = "; ".join(
        f"{by_key[one].label} needs {', '.join(by_key[other].label for other in others if other in by_key)}"
        for one, others in needs.items()
        if one in by_key and others
    )
    label = f"{escape(title)}: {escape(said or 'no dependencies')}"
    return (
        f'<div class="graph" tabindex="0" role="group" aria-label="{escape(title)}">'
        f'<svg width="{width}" height="{height:.0f}" viewBox="0 0 {width} {height:.0f}" role="group" '
        f'aria-label="{label}"><desc>{label}</desc>'
        '<defs><marker id="needs" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 1 7 4 0 7z"/></marker></defs>{lines}{boxes}</svg></div>'
    )


def _height(key: str) -> int:
    return STAND_IN_HEIGHT if key.startswith(_STAND_IN) else HEIGHT


def _line(points: Sequence[tuple[float, float]]) -> str:
    """Draw a tie from the right edge of the first through the stand-ins to the left edge of the last."""
    x, y = points[0][0] + WIDTH, points[0][1]
    path = f"M{x:.0f} {y:.1f}"
    for left, middle in points[1:]:
        bend = (left - x) / 2
        path += f"C{x + bend:.0f} {y:.1f} {left - bend:.0f} {middle:.1f} {left:.0f} {middle:.1f}"
        x, y = left, middle
        if (left, middle) != points[-1]:
            x += WIDTH
            path += f"H{x:.0f}"
    return f'<path d="{path}" marker-end="url(#needs)"/>'


def _box(node: Node, x: float, middle: float) -> str:
    y = middle - HEIGHT / 2
    label = node.label if len(node.label) <= CHARACTERS else f"{node.label[: CHARACTERS - 1]}…"
    classes = " ".join(["node", *(["foreign"] if node.foreign else []), *([f"tone-{node.tone}"] if node.tone else [])])
    dot = f'<circle cx="{x + 14:.0f}" cy="{y + HEIGHT / 2:.1f}" r="4"/>' if node.tone else ""
    indent = 26 if node.tone else 12
    inner = (
        f"<title>{escape(node.label)}{escape(f': {node.words}' if node.words else '')}</title>"
        f'<rect x="{x:.0f}" y="{y:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>{dot}'
        f'<text x="{x + indent:.0f}" y="{y + HEIGHT / 2 + 4:.1f}">{escape(label)}</text>'
    )
    group = f'<g class="{classes}">{inner}</g>'
    return f'<a href="{escape(node.href)}">{group}</a>' if node.href else group
