"""Data as YAML text, as people write it: lists indented, long texts as blocks, nothing plain that readers differ on."""

import re
from typing import Any

import yaml

from mainstay.foundation.yaml.scalars import INTEGER, REAL

WIDTH = 110
FLOW_CHARACTERS = 90  # a mapping that fits is written on one line
_TEXT = "tag:yaml.org,2002:str"


class Block(dict[str, Any]):
    """A mapping that is written on several lines, however short."""


def dump(document: Any, *, compact: bool = True, width: int = WIDTH) -> str:
    """Return YAML that `read` reads back as the same data.

    Args:
        compact: short mappings and lists of single values stand on one line.
    """
    return yaml.dump(
        document,
        Dumper=_Compact if compact else _Tall,
        sort_keys=False,
        allow_unicode=True,
        width=width,
        default_flow_style=False,
    )


def dump_line(value: Any) -> str:
    """Return a value as YAML on one line."""
    text: str = yaml.dump(
        value, Dumper=_Tall, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=True
    )
    return text.removesuffix("...\n").strip()


class _Tall(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # PyYAML's
        super().increase_indent(flow, False)


class _Compact(_Tall):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None
    if any(end in text for end in "\r\x85\u2028\u2029"):  # line ends to YAML 1.1: only escapes keep them
        style = '"'
    elif "\n" in text and "\t" not in text and not text.startswith((" ", "\n")):
        style = "|"
    return dumper.represent_scalar(_TEXT, text, style=style)


def _mapping(dumper: yaml.SafeDumper, data: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=_fits(data) or None)


def _list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=_fits(data) or None)


def _fits(data: Any) -> bool:
    """Tell whether this is a short mapping or list of single values (or of one level of such)."""
    inner = list(data.values()) if isinstance(data, dict) else data
    if isinstance(data, Block) or (isinstance(data, list) and any(isinstance(item, dict) for item in data)):
        return False
    if len(str(data)) > FLOW_CHARACTERS or "\\n" in repr(data):
        return False
    return not any(isinstance(value, dict | list) and (len(value) > 3 or not _flat(value)) for value in inner)


def _flat(data: Any) -> bool:
    inner = data.values() if isinstance(data, dict) else data
    return not any(isinstance(value, dict | list) for value in inner)


_Tall.add_representer(str, _text)
_Compact.add_representer(str, _text)
_Compact.add_representer(dict, _mapping)
_Compact.add_representer(Block, _mapping)
_Compact.add_representer(list, _list)
for _tag, _pattern in (("int", INTEGER), ("float", REAL)):  # PyYAML's own are those of YAML 1.1
    for _dumper in (_Tall, _Compact):
        _dumper.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern.pattern})$"), list("-+.0123456789")
        )
