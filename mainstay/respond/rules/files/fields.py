"""Reads the fields of a YAML tree as what they must be, and collects what is wrong instead of stopping at it."""

import difflib
from collections.abc import Iterable

from mainstay.foundation.yaml.nodes import Entry, Mapping, Node, Scalar, Sequence
from mainstay.foundation.yaml.problems import NotYaml, Problem
from mainstay.foundation.yaml.read import Document, Manner, read_document
from mainstay.foundation.yaml.scalars import go_integer
from mainstay.observe.metrics.durations import BadDuration, duration_ms
from mainstay.observe.metrics.scrape.names import is_name

MOST_BYTES = 8_000_000

_MANNER = Manner(most_bytes=MOST_BYTES, most_nodes=1_000_000, as_go=True)

Fields = dict[str, Node]
"""The fields of a mapping by name."""


class BadRules(ValueError):
    """A file of rules or of their tests cannot be used; `problems` has all its mistakes."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.shown(file) for problem in self.problems))


def read_file(text: str | bytes, file: str) -> Document:
    """Return the tree of a file of rules or of their tests.

    Raises:
        BadRules: it is not YAML that can be read here.
    """
    try:
        return read_document(text, _MANNER)
    except NotYaml as error:
        raise BadRules(file, [error.problem]) from None


class FieldReader:
    """Reads fields; what is not as it must be lands in `problems`, and something harmless is returned."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, node: Node | Entry, path: str, detail: str) -> None:
        """Note a mistake."""
        self.problems.append(Problem(node.line, node.column, path, detail))

    def fields(self, node: Node, path: str, keys: tuple[str, ...], what: str) -> Fields | None:
        """Return a mapping's fields, of which only `keys` may be; None if it is no mapping."""
        if node.is_null:
            return {}
        if not isinstance(node, Mapping):
            self.wrong(node, path, f"is {node.kind}; {what}")
            return None
        self._repeated(node, path)
        for name, entry in node.entries.items():
            if name not in keys:
                near = difflib.get_close_matches(name, keys, 1, 0.5)
                hint = f"did you mean {near[0]}?" if near else f"these are: {', '.join(keys)}"
                self.wrong(entry, under(path, name), f"there is no such field; {hint}")
        return {name: entry.node for name, entry in node.entries.items()}

    def _repeated(self, node: Mapping, path: str) -> None:
        for name, second in node.repeated:
            first = node.entries[name].line
            self.wrong(second, under(path, name), f"given twice, first on line {first}; keep one")

    def items(self, node: Node | None, path: str) -> list[Node]:
        """Return the items of a list; none if nothing is given."""
        if node is None or node.is_null:
            return []
        if not isinstance(node, Sequence):
            self.wrong(node, path, f"is {node.kind}; give a list, each item with a leading -")
            return []
        return node.items

    def text(self, node: Node | None, path: str) -> str:
        """Return a text, as it was written; empty if nothing is given."""
        if node is None or node.is_null:
            return ""
        if not isinstance(node, Scalar):
            self.wrong(node, path, f"is {node.kind}; give a text")
            return ""
        return node.text

    def texts(self, node: Node | None, path: str) -> list[str]:
        """Return a list of texts."""
        return [self.text(item, f"{path}[{place}]") for place, item in enumerate(self.items(node, path))]

    def duration(self, node: Node | None, path: str) -> float | None:
        """Return the seconds of a duration; None if nothing is given."""
        if node is None or node.is_null:
            return None
        text = self.text(node, path)
        if isinstance(node, Scalar):
            try:
                return duration_ms(text) / 1000
            except BadDuration as error:
                self.wrong(node, path, str(error))
        return None

    def whole(self, node: Node | None, path: str) -> int:
        """Return an integer; 0 if nothing is given."""
        if node is None or node.is_null:
            return 0
        found = go_integer(node.text) if isinstance(node, Scalar) and not node.style else None
        if found is None:
            self.wrong(node, path, f"{written(node) or node.kind} is not an integer; give a number without quotes")
        return found or 0

    def labels(self, node: Node | None, path: str, *, what: str = "label", free: bool = False) -> dict[str, str]:
        """Return names and texts. `free` lets any text be a name."""
        if node is None or node.is_null:
            return {}
        if not isinstance(node, Mapping):
            self.wrong(node, path, f"is {node.kind}; give names and values, as in severity: critical")
            return {}
        self._repeated(node, path)
        found: dict[str, str] = {}
        for name, entry in node.entries.items():
            where = under(path, name)
            if free:
                pass
            elif not is_name(name):
                self.wrong(entry, where, f"{name!r} is no {what} name: write a text that is not empty")
            elif name == "__name__" and what == "label":
                self.wrong(entry, where, "the name of the metric is no label to set; use record, or another label")
            found[name] = self.text(entry.node, where)
        return found


def written(node: Node | None) -> str:
    """Return a text as it was written, without quotes; empty for a mapping or a list."""
    return node.text if isinstance(node, Scalar) else ""


def under(path: str, key: str) -> str:
    """Return the path of a field of what stands at `path`."""
    return f"{path}.{key}" if path else key


def bad_record(name: str) -> str:
    """Return why a recording rule cannot record under this name; "" if it can.

    Any text may name a metric; one with braces is an expression that stands in the wrong field, as Prometheus has it.
    """
    if not is_name(name):
        return f"{name!r} is no name of a metric: write a text that is not empty"
    if "{" in name or "}" in name:
        return f"{name!r} has braces in it: write the name alone, and labels under `labels` or in `expr`"
    return ""
