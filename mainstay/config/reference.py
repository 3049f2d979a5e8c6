"""The reference of the file, made from the specs: `python -m mainstay.config.reference` prints docs/config-file.md.

A test keeps the two the same.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import django
from pydantic import BaseModel

from mainstay.config.resources import at_the_top, inside, resources
from mainstay.foundation.resource import Resource
from mainstay.foundation.words.durations import format_duration
from mainstay.foundation.yaml.read import MOST_BYTES
from mainstay.foundation.yaml.write import Block, dump

SPAN = "span of time"
CONTRACT = """\
applications:
  - name: shop
    tier: critical
    environments:
      - {name: production, url: "http://127.0.0.1:9001"}
    checks:
      - name: storefront
        environment: production
        http: {url: "http://127.0.0.1:9001/", expect: {status: 200, max_latency: 800ms, body_contains: "Shop"}}
        every: 5s
        fail_after: 2
        recover_after: 2
        severity: critical
      - name: nightly-import
        heartbeat: {cron: "0 3 * * *", timezone: Europe/Berlin, grace: 30m}
channels:
  - name: ops
    webhook: {url: "http://127.0.0.1:9999/hook"}
routes:
  - match: {severity: critical}
    notify: [ops]
"""
"""The small file that stays valid: the reference shows it, the tests apply it, the whole program runs by it."""

_INTRODUCTION = f"""\
# The configuration file

One YAML file, or several, describe what Mainstay watches and who is told. The same words are used in the pages and
in the API.

```console
$ mainstay plan shop.yaml      # shows what would change; changes nothing
$ mainstay apply shop.yaml     # does it, unless there is a mistake anywhere; applied again, it does nothing
$ mainstay export              # prints the present state as such a file
```

`-` reads standard input. With `--json` a program can read the answer. The exit status is 0, or 1 when the file is not
valid: then every mistake is told as `FILE:LINE:COLUMN: path: what is wrong; how to mend it`, and nothing was changed.

**Large files.** A file is checked and planned whole; with any mistake nothing is changed. Up to 25 changes are then
made in one transaction. More are made in pieces of at most 50 things or 0.3 s, each thing whole, so that alerts,
pings and people get on meanwhile; the journal has an entry at the beginning and one at the end. One file is applied
at a time; another waits up to 15 s, then is refused and says who is at it. The API answers when the whole file is
done.

If the process that applies a file is killed on the way, the worker (or the next `apply`) finishes it after a minute;
until then Now says how far it came. For this the file and the values of the variables in it are stored, encrypted,
until it is done. It is planned anew from them: what is done needs nothing, and what people changed meanwhile is
changed back, as whenever a file is applied. Who applied it must still have the permission. Where that fails, or
something now stands in the way, nothing more is done: Now and the journal say why and how far it came, until the file
is applied again.

A complete, small file:

```yaml
{CONTRACT}```

## How it is read

- The file is UTF-8, at most {MOST_BYTES // 1_000_000} MB, and holds one YAML document.
  Unknown keys and keys given twice are errors.
- Values mean what YAML 1.2 says: `18:00`, `on`, `no` and dates are text and need no quotes. A text that looks like a
  number (`"12345"`) or is `true`, `false` or `null` needs quotes.
- Spans of time are written `800ms`, `5s`, `30m`, `2h`, `1d`, `1h30m`, or as a number of seconds.
- Anchors, aliases and merge keys (`<<: *name`) work. Keys at the top that begin with `x-` are your own, to hang
  anchors on.
- `${{NAME}}` in a value is the environment variable of that name, `${{NAME:-default}}` has a default for one that is
  not set or empty. `$$` is a plain `$` wherever it stands: `a$$b` is written `a$$$$b`, a single `$` needs nothing.
  Inside `{{ }}` and `[ ]` YAML wants quotes around it. Variables are those of the command `mainstay`; through the API
  there are none.
- What is stored and cannot be read any more (another key, a damaged row) is written anew by the file that has it.
  `export` leaves it out, names it in a comment and ends with exit status 1.
- Secrets (channel URLs, passwords, tokens) are stored encrypted. `"********"`, as `export` writes it, keeps the secret
  that is stored.

## What a file manages

Things are managed by the file that names them. It is known by its base name (`conf/shop.yaml` is `shop.yaml`), or by
`managed_as: NAME` at its top, which survives renaming and lets two directories have files of the same name.

- What the file names and does not exist is added; what differs is changed; what is there already, made by hand, is
  taken over.
- What the file managed and no longer names is removed. What it never managed stays. An empty file is an error, and
  so is a section with nothing after its colon; to remove everything write `applications: []`.
- What another file manages is an error. In the pages and through the API, managed things are read-only, except that a
  check can be paused at any time: the next apply sets `paused` to what the file says.
- `managed_as: "*"` stands in a copy of several files, as `export` writes it: each thing stays managed as it is, new
  ones are managed by none, nothing is removed, and what a file manages must be as it is. So
  `mainstay export | mainstay apply -` does nothing.
- An application is described whole: environments and components that the file does not name are removed from it. Its
  checks are managed one by one.

## At the top

| key | value |
|---|---|
| `managed_as` | name by which the file is known; default: its base name |
"""


def markdown() -> str:
    """Return the reference."""
    listed = [f"| `{resource.section}` | {resource.listed} |\n" for resource in at_the_top()]
    parts = ["".join([_INTRODUCTION, *listed, "| `x-…` | anything |\n"])]
    for resource in at_the_top():
        parts += _section(resource)
    return "\n".join(parts)


def _section(resource: Resource[Any]) -> list[str]:
    kinds, what = resource.kinds, resource.kind
    one_of = f"Besides these, a {what} has exactly one of {', '.join(f'`{name}`' for name in kinds)}, described below."
    text = resource.about or (one_of if kinds else "")
    held = {one.section: one.listed for one in inside(resource.kind)}
    parts = [f"## {resource.title}\n" + (f"\n{text}\n" if text else "") + _example(resource)]
    parts.append(_table(resource.spec, held, kinds))
    for name, kind in kinds.items():
        heading, about = resource.heading(name, kind)
        parts += [f"### {heading}\n\n{about}\n\n{_table(kind.Settings)}"]
    for one in inside(resource.kind):
        parts += _section(one)
    return parts


def _example(resource: Resource[Any]) -> str:
    if not resource.examples:
        return ""
    section = Block({resource.section: [Block(one) for one in resource.examples]})
    if resource.within:
        held_by = resources()[resource.within]
        section = Block({held_by.section: [{"name": held_by.examples[0]["name"], **section}]})
    return f"\n```yaml\n{dump(section)}```\n"


def _table(
    model: type[BaseModel], more: Mapping[str, str] | None = None, skip: Mapping[str, object] | None = None
) -> str:
    schema = model.model_json_schema(by_alias=True)
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    for path, field, required in _rows(schema, schema, ""):
        if path.partition(".")[0] not in (skip or {}):
            kind = _type(field, schema)
            default = "**needed**" if required else _default(field, span=kind == SPAN)
            cells = (f"`{path}`", kind, default, _cell(field.get("description", "")))
            rows.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    rows += [f"| `{name}` | {value} | | |" for name, value in (more or {}).items()]
    return "\n".join(rows) + "\n"


def _rows(part: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield each field, and below it those of the mapping (or of the list of mappings) that it holds."""
    needed = part.get("required", ())
    for name, field in part.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, field, name in needed
        for inner, mark in _models(field, schema):
            if len(here.split(".")) < 3 and inner.get("title") != "Comparison":
                yield from _rows(inner, schema, here + mark)


def _models(field: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for branch in field.get("anyOf", [field]):
        if "$ref" in branch:
            yield schema["$defs"][branch["$ref"].rpartition("/")[2]], ""
        elif branch.get("type") == "array" and "$ref" in branch.get("items", {}):
            yield schema["$defs"][branch["items"]["$ref"].rpartition("/")[2]], "[]"


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    branches = [branch for branch in _choices(field) if branch.get("type") != "null"]
    if any("800ms" in branch.get("examples", ()) for branch in branches):
        return SPAN
    return " or ".join(dict.fromkeys(map(partial(_one_type, schema=schema), branches)))


def _choices(field: dict[str, Any]) -> list[dict[str, Any]]:
    inner = field.get("anyOf")
    return [field] if inner is None else [choice for branch in inner for choice in _choices(branch)]


def _one_type(branch: dict[str, Any], schema: dict[str, Any]) -> str:
    if "enum" in branch or "const" in branch:
        return ", ".join(f"`{value}`" for value in branch.get("enum", [branch.get("const")]))
    if "$ref" in branch:
        model = schema["$defs"][branch["$ref"].rpartition("/")[2]]
        return "value or comparison" if model.get("title") == "Comparison" else _one_type(model, schema)
    if branch.get("writeOnly") or branch.get("format") == "password":
        return "secret text"
    kind = branch.get("type")
    if kind == "array":
        return f"list of {_type(branch.get('items', {}), schema)}"
    if kind == "object" and isinstance(inner := branch.get("additionalProperties"), dict):
        return f"mapping to {_type(inner, schema)}"
    names = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "object": "mapping",
    }
    if branch.get("format") == "date-time":
        return "time"
    return names.get(str(kind), "anything") + _limits(branch)


def _limits(branch: dict[str, Any]) -> str:
    least = branch.get("minimum", branch.get("exclusiveMinimum"))
    most = branch.get("maximum", branch.get("exclusiveMaximum"))
    if least is not None and most is not None:
        return f" {least}–{most}"
    return f" from {least}" if least is not None else ""


def _default(field: dict[str, Any], *, span: bool) -> str:
    default = field.get("default")
    if span and default is not None:
        return f"`{format_duration(float(default))}`"
    if default in (None, "", [], {}):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return _cell(", ".join(f"`{item}`" for item in default))
    return "" if isinstance(default, dict) else f"`{_cell(str(default))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainstay.settings")
    django.setup()
    sys.stdout.write(markdown())
