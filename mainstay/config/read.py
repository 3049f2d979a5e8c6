"""The configuration file as a tree: YAML with places, and `${NAME}` replaced by variables of the environment."""

import re
from collections.abc import Iterator
from collections.abc import Mapping as Environ

from mainstay.config.problems import BadFile, Problems
from mainstay.foundation.secrets import MASK
from mainstay.foundation.yaml.nodes import Mapping, Node, Scalar, Sequence, walk
from mainstay.foundation.yaml.problems import NotYaml, Problem
from mainstay.foundation.yaml.read import Manner, read_document

_MANNER = Manner(split="split it and give each part a managed_as of its own")
_VARIABLE = re.compile(r"\$(?:\$|\{([^}]*)\}|\{)")
_VARIABLE_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def read(given: str | bytes, environ: Environ[str, str], problems: Problems) -> Mapping:
    """Return the tree of a file. Mistakes inside it that leave the rest readable are added to `problems`.

    Args:
        environ: what `${NAME}` stands for.

    Raises:
        BadFile: it cannot be read at all.
    """
    try:
        root = read_document(given, _MANNER).root
    except NotYaml as error:
        raise BadFile([_explained(error, given)]) from None
    if root is None or root.is_null:
        message = "the file is empty. To remove all that it manages, write: applications: []"
        raise BadFile([Problem(1, 1, "", message)])
    if not isinstance(root, Mapping):
        message = "must be a mapping: keys such as applications:, channels:, routes: at the beginning of lines"
        raise BadFile([Problem(root.line, root.column, "", message)])
    _tell(root, _substituted(root, environ, problems), problems)
    return root


def _explained(error: NotYaml, given: str | bytes) -> Problem:
    """Say how to mend what only this file has: variables and masks."""
    if error.is_syntax:
        text = given.decode("utf-8-sig") if isinstance(given, bytes) else given
        lines = text.split("\n")
        line = error.line - 1
        if any("{" in lines[n] and "${" in lines[n] for n in (line, line - 1) if 0 <= n < len(lines)):
            error.mend = 'inside { } and [ ] put ${NAME} in quotes: "${NAME}"'
        if 0 <= line < len(lines) and MASK in lines[line]:
            error.mend = f'put the mask in quotes: "{MASK}"'
    return error.problem


def _substituted(root: Mapping, environ: Environ[str, str], problems: Problems) -> dict[int, str]:
    """Put variables into all texts; return what is wrong with them, by the identity of the value."""
    wrong: dict[int, str] = {}
    for node in walk(root):
        if isinstance(node, Scalar) and isinstance(node.value, str):
            detail = _substitute(node, node.value, environ, problems)
            if detail:
                wrong[id(node)] = detail
    return wrong


def _substitute(node: Scalar, text: str, environ: Environ[str, str], problems: Problems) -> str:
    """Put variables into one text; return what is wrong with them, or ""."""
    wrong = ""

    def replace(found: re.Match[str]) -> str:
        nonlocal wrong
        if found[0] == "$$":
            return "$"
        if found[1] is not None and found[1].isdecimal():
            return found[0]  # a group of a regular expression, as relabelling has it; no variable is a number
        inside = _VARIABLE_INSIDE.fullmatch(found[1]) if found[1] is not None else None
        if inside is None:
            wrong = "has a ${ that names no variable; write ${NAME} or ${NAME:-default}, and $$ for a plain $"
            return ""
        name, default = inside[1], inside[2]
        value = environ.get(name) or ""
        if not value and default is None:
            how = "empty" if environ.get(name) is not None else "not set"
            wrong = f"needs the environment variable {name}, which is {how}; set it, or write ${{{name}:-default}}"
        if value:
            problems.secrets[value] = f"${{{name}}}"
        return value or default or ""

    value = _VARIABLE.sub(replace, text) if "$" in text else text
    if "\0" in value:
        wrong = "holds a NUL character; remove it"
    node.value = value
    return wrong


def step(path: str, node: Node, part: str | int) -> str:
    """Return the path of a part of `node`: items of lists go by their name, if they have one."""
    if isinstance(node, Sequence) and isinstance(part, int):
        item = node.items[part] if part < len(node.items) else None
        name = item.text("name") if isinstance(item, Mapping) else ""
        return f"{path}[{name or part}]"
    return f"{path}.{part}" if path else str(part)


def _tell(root: Mapping, wrong: dict[int, str], problems: Problems) -> None:
    """Add the problems that the reader left in the tree, now that the names along their paths are known."""
    for path, node in _walk(root):
        if id(node) in wrong:
            problems.add(node.line, node.column, path, wrong[id(node)])
        elif isinstance(node, Mapping):
            for key, entry in node.repeated:
                first = node.entries[key].line
                problems.add(
                    entry.line, entry.column, step(path, node, key), f"given twice, first on line {first}; keep one"
                )


def _walk(root: Mapping) -> Iterator[tuple[str, Node]]:
    work: list[tuple[str, Node]] = [("", root)]
    seen: set[int] = set()
    while work:
        path, node = work.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield path, node
        if isinstance(node, Sequence):
            work.extend((step(path, node, place), item) for place, item in enumerate(node.items))
        elif isinstance(node, Mapping):
            work.extend((step(path, node, key), entry.node) for key, entry in node.entries.items())
