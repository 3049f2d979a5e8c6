"""Reads the fields of a YAML tree as what they must be, and collects what is wrong instead of stopping at it."""

import difflib
import re

from mainstay.observe.metrics.durations import BadDuration, duration_ms
from mainstay.respond.rules.files.problems import RuleProblem
from mainstay.respond.rules.files.tree import Node

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Fields(dict[str, Node]):
    """The fields of a mapping by name."""


class FieldReader:
    """Reads fields; what is not as it must be lands in `problems`, and something harmless is returned."""

    def __init__(self) -> None:
        self.problems: list[RuleProblem] = []

    def wrong(self, node: Node, path: str, detail: str) -> None:
        """Note a mistake."""
        self.problems.append(RuleProblem(node.line, node.column, path, detail))

    def fields(self, node: Node, path: str, keys: tuple[str, ...], what: str) -> Fields | None:
        """Return a mapping's fields, of which only `keys` may be; None if it is no mapping."""
        if node.is_null:
            return Fields({})
        if not node.is_mapping:
            self.wrong(node, path, f"is {node.kind}; {what}")
            return None
        self._repeated(node, path)
        for key in node.keys:
            if key.text not in keys:
                near = difflib.get_close_matches(key.text, keys, 1, 0.5)
                hint = f"did you mean {near[0]}?" if near else f"these are: {', '.join(keys)}"
                self.wrong(key, under(path, key.text), f"there is no such field; {hint}")
        return Fields({key.text: value for key, value in node.entries()})

    def _repeated(self, node: Node, path: str) -> None:
        for key, second in node.repeated:
            self.wrong(second, under(path, key.text), f"given twice, first on line {key.line}; keep one")

    def items(self, node: Node | None, path: str) -> list[Node]:
        """Return the items of a list; none if nothing is given."""
        if node is None or node.is_null:
            return []
        if not node.is_list:
            self.wrong(node, path, f"is {node.kind}; give a list, each item with a leading -")
            return []
        return node.items

    def text(self, node: Node | None, path: str) -> str:
        """Return a text, as it was written; empty if nothing is given."""
        if node is None or node.is_null:
            return ""
        if not node.is_text:
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
        if node.is_text:
            try:
                return duration_ms(text) / 1000
            except BadDuration as error:
                self.wrong(node, path, str(error))
        return None

    def whole(self, node: Node | None, path: str) -> int:
        """Return an integer; 0 if nothing is given."""
        if node is None or node.is_null:
            return 0
        if node.whole is None:
            self.wrong(node, path, f"{node.text or node.kind} is not an integer; give a number without quotes")
            return 0
        return node.whole

    def labels(self, node: Node | None, path: str, *, what: str = "label", free: bool = False) -> dict[str, str]:
        """Return names and texts. `free` lets any text be a name."""
        if node is None or node.is_null:
            return {}
        if not node.is_mapping:
            self.wrong(node, path, f"is {node.kind}; give names and values, as in severity: critical")
            return {}
        self._repeated(node, path)
        found: dict[str, str] = {}
        for key, value in node.entries():
            where = under(path, key.text)
            if free:
                pass
            elif not LABEL_NAME.fullmatch(key.text):
                self.wrong(key, where, f"{key.text!r} is no {what} name: letters, digits and _, no digit first")
            elif key.text == "__name__" and what == "label":
                self.wrong(key, where, "the name of the metric is no label to set; use record, or another label")
            found[key.text] = self.text(value, where)
        return found


def under(path: str, key: str) -> str:
    """Return the path of a field of what stands at `path`."""
    return f"{path}.{key}" if path else key
