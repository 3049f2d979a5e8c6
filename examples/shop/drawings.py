"""Line drawings of the goods: one SVG symbol each, used by reference wherever a product is shown."""

# Each on a canvas of 64 × 64, drawn with strokes only, so that the page's colours apply.
_PATHS = {
    "bag": '<path d="M14 26h36l4 26a4 4 0 0 1-4 4H14a4 4 0 0 1-4-4z"/><path d="M22 32v-8a10 10 0 0 1 20 0v8"/>'
    '<path d="M26 44h12"/>',
    "bottle": '<path d="M27 8h10v10l6 9v25a4 4 0 0 1-4 4H25a4 4 0 0 1-4-4V27l6-9z"/><path d="M27 13h10M21 36h22"/>',
    "bowl": '<path d="M8 28h48a24 22 0 0 1-16 21v5H24v-5A24 22 0 0 1 8 28z"/><path d="M16 36q16 8 32 0"/>',
    "box": '<path d="M10 22 32 11l22 11v22L32 55 10 44z"/><path d="M10 22l22 11 22-11M32 33v22M21 16.5l22 11v8"/>',
    "candle": '<path d="M24 28h16v26H24z"/><path d="M18 54h28M32 28v-5"/>'
    '<path d="M32 23c-5-4-3-9 0-13 3 4 5 9 0 13z"/>',
    "clock": '<circle cx="32" cy="32" r="21"/><path d="M32 19v13l9 6"/><path d="M32 11v4M32 49v4M11 32h4M49 32h4"/>',
    "jar": '<path d="M19 20h26v32a4 4 0 0 1-4 4H23a4 4 0 0 1-4-4z"/><path d="M17 12h30v8H17z"/>'
    '<path d="M25 32h14v11H25z"/>',
    "kettle": '<path d="M18 28h26l5 24a3 3 0 0 1-3 4H16a3 3 0 0 1-3-4z"/><path d="M20 28a11 9 0 0 1 22 0"/>'
    '<path d="M19 22a13 13 0 0 1 24 0M31 19v-5M46 38l10-9"/>',
    "lamp": '<path d="M24 10h16l9 20H15z"/><path d="M32 30v22M20 54h24"/><path d="M41 30v8"/>',
    "lantern": '<path d="M20 24h24v26H20z"/><path d="M16 24h32M16 50h32v5H16zM23 24l4-8h10l4 8"/>'
    '<path d="M24 12a8 6 0 0 1 16 0M32 46c-5-4-3-9 0-13 3 4 5 9 0 13z"/>',
    "mug": '<path d="M14 18h28v32a5 5 0 0 1-5 5H19a5 5 0 0 1-5-5z"/><path d="M42 26h5a7 7 0 0 1 0 18h-5"/>'
    '<path d="M23 12q-3-3 0-6M32 12q-3-3 0-6"/>',
    "notebook": '<path d="M16 9h30a3 3 0 0 1 3 3v40a3 3 0 0 1-3 3H16z"/><path d="M22 9v46M29 20h13M29 27h9"/>'
    '<path d="M12 18h6M12 28h6M12 38h6M12 48h6"/>',
    "pencil": '<path d="M12 52l4-14 26-26 10 10-26 26z"/><path d="M16 38l10 10M37 17l10 10"/>',
    "plant": '<path d="M19 38h26l-3 18H22z"/><path d="M16 32h32v6H16zM32 32V18"/>'
    '<path d="M32 22c-9 1-14-4-14-12 9-1 14 4 14 12zM32 26c0-7 5-11 13-11 0 8-5 12-13 11z"/>',
    "umbrella": '<path d="M8 32a24 24 0 0 1 48 0q-4-4-8 0-4-4-8 0-4-4-8 0-4-4-8 0-4-4-8 0-4-4-8 0z"/>'
    '<path d="M32 8V5M32 32v19a5 5 0 0 0 10 0"/>',
}

NAMES = frozenset(_PATHS)


def symbols(names: set[str]) -> str:
    """The definitions of the drawings a page uses; place once, before the first `drawing`."""
    return (
        '<svg class="symbols" aria-hidden="true">'
        + "".join(f'<symbol id="d-{name}" viewBox="0 0 64 64">{_PATHS[name]}</symbol>' for name in sorted(names))
        + "</svg>"
    )


def drawing(name: str, category: str) -> str:
    """One drawing, decorative: its product's name always stands beside it."""
    return f'<svg class="drawing {category}" aria-hidden="true"><use href="#d-{name}"/></svg>'
