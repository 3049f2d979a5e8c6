"""YAML that people write into a box or a list of targets: flat, and without aliases.

The loader recurses, and for a value that is not what it looks like (a date, a number, a tag) it raises whatever Python
does there. So depth is looked at first, what could multiply is not taken, and all that goes wrong is one error.
"""

from typing import Any

import yaml

from mainstay.foundation.foreign import foreign

DEEPEST = 40
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BadYaml(ValueError):
    """A text is no YAML that is read here.

    Attributes:
        detail: why, for those who wrote it. The error itself names the line, not the content.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail or message


def read_yaml(content: str | bytes) -> Any:
    """Return the data of a YAML document.

    Raises:
        BadYaml: it is none, nested too deeply, or uses aliases.
    """
    try:
        text = content.decode() if isinstance(content, bytes) else content
    except UnicodeDecodeError:
        raise BadYaml("it is not UTF-8") from None
    try:
        with foreign("YAML", _no_such_value, BadYaml, yaml.YAMLError):
            return _loaded(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        detail = f"{error.problem or error.context} (line {line}, column {column})"
        raise BadYaml(f"it is not YAML (line {line})", detail) from None
    except yaml.YAMLError as error:
        raise BadYaml("it is not YAML", str(error)) from None


def _loaded(text: str) -> Any:
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise BadYaml("it uses aliases (*name), which are not read here")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise BadYaml("it is nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return yaml.load(text, _LOADER)  # noqa: S506  # a safe loader


def _no_such_value(_message: str) -> BadYaml:
    return BadYaml("a value in it is not what it looks like: a date that does not exist, or a tag that does not fit")
