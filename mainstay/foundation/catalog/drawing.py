"""Components and what they need, drawn in layers from left to right: pure, SVG text, nothing external."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 148, 32
GAP_X, GAP_Y, MARGIN = 56, 12, 8
CHARACTERS = 18  # that fit into a node
SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Node:
    """One component. `tone` colours it (ok, warn, bad, quiet; empty: not watched), `words` tell it without colour."""

    key: str
    label: str
    href: str = ""
    tone: str = ""
    words: str = ""
    foreign: bool = False  # of another application


def layers(keys: Sequence[str], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return `keys` in layers: each lies left of all that it needs; nodes without ties come last, in one layer's rows.

    `needs` is free of cycles (the catalog refuses them); edges to unknown keys are ignored.
    """
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
    deepest = max(depth.values(), default=0)
    out: list[list[str]] = [[] for _ in range(deepest + 1)]
    for key in keys:
        out[deepest - depth[key]].append(key)
    return _untangled(out, needs)


def _untangled(given: list[list[str]], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Order each layer by the mean place of its neighbours, which untangles most crossings."""
    neighbours: dict[str, list[str]] = {}
    for one, others in needs.items():
        for other in others:
            neighbours.setdefault(one, []).append(other)
            neighbours.setdefault(other, []).append(one)
    for sweep in range(SWEEPS):
        order = given if sweep % 2 == 0 else given[::-1]
        place = {key: i for layer in given for i, key in enumerate(layer)}
        for layer in order:
            def mean(key: str) -> float:
                around = [place[other] for other in neighbours.get(key, ()) if other in place]
                return sum(around) / len(around) if around else place[key]

            layer.sort(key=mean)
            place.update({key: i for i, key in enumerate(layer)})
    return given


def draw(nodes: Sequence[Node], needs: Mapping[str, Sequence[str]], title: str) -> str:
    """Return the graph as SVG; coloured by the classes of `pages-watch.css`."""
    by_key = {node.key: node for node in nodes}
    laid = layers([node.key for node in nodes], needs)
    tallest = max((len(layer) for layer in laid), default=1)
    height = tallest * HEIGHT + (tallest - 1) * GAP_Y + 2 * MARGIN
    width = len(laid) * WIDTH + (len(laid) - 1) * GAP_X + 2 * MARGIN
    at: dict[str, tuple[float, float]] = {}
    for i, layer in enumerate(laid):
        free = height - 2 * MARGIN - len(layer) * HEIGHT - (len(layer) - 1) * GAP_Y
        for j, key in enumerate(layer):
            at[key] = (MARGIN + i * (WIDTH + GAP_X), MARGIN + free / 2 + j * (HEIGHT + GAP_Y))
    edges = "".join(
        _edge(at[one], at[other]) for one, others in needs.items() for other in others if one in at and other in at
    )
    boxes = "".join(_box(by_key[key], *at[key]) for key in at)
    said = "; ".join(
        f"{by_key[one].label} needs {', '.join(by_key[other].label for other in others if other in by_key)}"
        for one, others in needs.items()
        if one in by_key and others
    )
    return (
        f'<div class="graph" tabindex="0" role="group" aria-label="{escape(title)}">'
        f'<svg width="{width}" height="{height:.0f}" viewBox="0 0 {width} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}: {escape(said or "no dependencies")}"><defs><marker id="needs" viewBox="0 0 8 8" refX="7" refY="4" '
        f'markerWidth="8" markerHeight="8" orient="auto"><path d="M0 1 7 4 0 7z"/></marker></defs>'
        f"{edges}{boxes}</svg></div>"
    )


def _edge(one: tuple[float, float], other: tuple[float, float]) -> str:
    x1, y1 = one[0] + WIDTH, one[1] + HEIGHT / 2
    x2, y2 = other[0], other[1] + HEIGHT / 2
    bend = max(24.0, (x2 - x1) / 2)
    return f'<path d="M{x1:.0f} {y1:.1f}C{x1 + bend:.0f} {y1:.1f} {x2 - bend:.0f} {y2:.1f} {x2:.0f} {y2:.1f}" marker-end="url(#needs)"/>'


def _box(node: Node, x: float, y: float) -> str:
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
