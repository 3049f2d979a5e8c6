"""Prometheus' relabelling: rules that rewrite, keep or drop label sets, for targets and for scraped series.

Semantics are those of Prometheus 3: any text may name a label, a regular expression (RE2) must match the whole text, a
dot matches line ends, `$1`, `${1}` and `${name}` stand for groups as in Go's `regexp.Expand` (`$1x` is the group named
`1x`), and a label that is set to the empty text is removed.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Self

import re2  # type: ignore[import-untyped]  # google-re2 ships no types
from pydantic import Field, StringConstraints, model_validator

from mainstay.foundation.strict import StrictModel
from mainstay.observe.metrics.scrape.names import is_name

LONGEST_REGEX = 10_000
LARGEST_PROGRAM = 20_000
_MEMORY_BYTES = 8 << 20
_ANY = "(.*)"
_WHOLE = "$1"
_REMEMBERED = 4096

Labels = dict[str, str]
Step = Callable[[Labels], bool]
LabelName = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
TemplateText = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]


class Action(StrEnum):
    """What a rule does."""

    REPLACE = "replace"
    KEEP = "keep"
    DROP = "drop"
    KEEP_EQUAL = "keepequal"
    DROP_EQUAL = "dropequal"
    HASH_MOD = "hashmod"
    LABEL_MAP = "labelmap"
    LABEL_DROP = "labeldrop"
    LABEL_KEEP = "labelkeep"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"


_NEED_TARGET = frozenset(
    {
        Action.REPLACE,
        Action.HASH_MOD,
        Action.LOWERCASE,
        Action.UPPERCASE,
        Action.KEEP_EQUAL,
        Action.DROP_EQUAL,
    }
)
_MAY_HOLD = {
    Action.KEEP_EQUAL: {"source_labels", "target_label"},
    Action.DROP_EQUAL: {"source_labels", "target_label"},
    Action.LABEL_DROP: {"regex"},
    Action.LABEL_KEEP: {"regex"},
}
"""Actions that refuse fields they would ignore, as Prometheus does. A field at its default is no offence."""


_TEXTS = ("regex", "replacement", "separator", "target_label")
_ZEROS: dict[str, Any] = {"source_labels": (), "modulus": 0}


class Rule(StrictModel):
    """One relabelling rule, written as in Prometheus."""

    action: Action = Field(default=Action.REPLACE, description="What to do; `replace` if not given.")
    source_labels: tuple[LabelName, ...] = Field(
        default=(), max_length=100, description="Labels whose values, joined by `separator`, are looked at."
    )
    separator: TemplateText = Field(default=";", description="Between the values of `source_labels`.")
    regex: str = Field(
        default=_ANY, max_length=LONGEST_REGEX, description="Regular expression (RE2) that must match the whole text."
    )
    modulus: int = Field(default=0, ge=0, le=1 << 53, description="For `hashmod`: the number of buckets.")
    target_label: TemplateText = Field(default="", description="The label that is set; may hold `${1}` for `replace`.")
    replacement: TemplateText = Field(default=_WHOLE, description="What it is set to; `$1`, `${name}` are groups.")

    @model_validator(mode="before")
    @classmethod
    def _as_yaml_reads_it(cls, given: Any) -> Any:
        """YAML makes 5 of `replacement: 5`, `Keep` is as good as `keep`, null is empty: Prometheus takes all."""
        if not isinstance(given, Mapping):
            return given
        return {
            name: _text(value) if name in _TEXTS else _ZEROS.get(name) if value is None else value
            for name, value in given.items()
        } | ({"action": given["action"].lower()} if isinstance(given.get("action"), str) else {})

    @model_validator(mode="after")
    def _fields_fit_the_action(self) -> Self:
        action = self.action
        compile_regex(self.regex)
        allowed = _MAY_HOLD.get(action)
        if allowed is not None:
            extra = [
                name
                for name, field in type(self).model_fields.items()
                if name not in allowed and name != "action" and getattr(self, name) != field.default
            ]
            if extra:
                raise ValueError(f"`{action}` takes {' and '.join(sorted(allowed))} only, not {', '.join(extra)}")
        if action is Action.HASH_MOD and not self.modulus:
            raise ValueError("`hashmod` needs `modulus`")
        if action in _NEED_TARGET and not self.target_label:
            raise ValueError(f"`{action}` needs `target_label`")
        if action in (Action.LOWERCASE, Action.UPPERCASE) and self.replacement != _WHOLE:
            raise ValueError(f"`{action}` takes no `replacement`")
        if action is Action.LABEL_MAP and not self.replacement:
            raise ValueError("`replacement` must not be empty: `labelmap` makes names of labels of it")
        return self


class Relabelling:
    """Rules made ready. Thread-safe: applying changes nothing but a memory of what regular expressions said."""

    __slots__ = ("_steps", "rules")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._steps: list[Step] = [_step(rule) for rule in rules]

    def __bool__(self) -> bool:
        return bool(self._steps)

    def apply(self, labels: Mapping[str, str]) -> Labels | None:
        """Return the labels that the rules make of `labels`, or None when they drop them."""
        out = {name: value for name, value in labels.items() if value}
        for step in self._steps:
            if not step(out):
                return None
        return out


@lru_cache(maxsize=2048)
def compile_regex(text: str) -> Any:
    """Return the expression, to be used with `fullmatch` on bytes.

    Raises:
        ValueError: it is none, or too large a one.
    """
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    try:
        compiled = re2.compile(f"(?s:{text})".encode(), options)
    except UnicodeEncodeError:
        raise ValueError("the regular expression holds half a character (a lone surrogate)") from None
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        said = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise ValueError(f"{text!r} is no regular expression of RE2: {said}") from None
    if compiled.programsize > LARGEST_PROGRAM:
        raise ValueError(
            f"the regular expression is too large ({compiled.programsize} steps, at most {LARGEST_PROGRAM}):"
            " use fewer or smaller counted repetitions"
        )
    return compiled


class Template:
    """A text with `$1`, `${1}`, `${name}` in it, as Go's `regexp.Expand` understands it."""

    __slots__ = ("_parts", "fixed")

    def __init__(self, text: str) -> None:
        self._parts: list[str | int | bytes] = []
        """Literal text, number of a group, or name of a group (bytes)."""
        literal = ""
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            literal += text[position:dollar]
            position = dollar + 1
            if text[position : position + 1] == "$":
                literal += "$"
                position += 1
                continue
            name, end = _reference(text, position)
            if not name:
                literal += "$"
                continue
            if literal:
                self._parts.append(literal)
                literal = ""
            self._parts.append(_group(name))
            position = end
        literal += text[position:]
        if literal:
            self._parts.append(literal)
        self.fixed = "".join(part for part in self._parts if isinstance(part, str)) if "$" not in text else None

    def expand(self, match: Any) -> str:
        """Return the text with the match's groups in it; a group that is not there is empty."""
        if self.fixed is not None:
            return self.fixed
        return "".join(part if isinstance(part, str) else _group_text(match, part) for part in self._parts)


def _reference(text: str, position: int) -> tuple[str, int]:
    """Return the name of the group that is referred to at `position` and where the reference ends, or ("", …)."""
    braced = text[position : position + 1] == "{"
    begin = end = position + braced
    while end < len(text) and (text[end] == "_" or text[end].isalpha() or text[end].isdecimal()):
        end += 1
    if braced and text[end : end + 1] != "}":
        return "", position
    return text[begin:end], end + braced


def _group(name: str) -> int | bytes:
    is_number = name.isascii() and name.isdecimal() and len(name) < 9 and (name == "0" or name[0] != "0")
    return int(name) if is_number else name.encode()


def _group_text(match: Any, group: int | bytes) -> str:
    if isinstance(group, bytes):
        number = match.re.groupindex.get(group)
        if number is None:
            return ""
        group = number
    if group > match.re.groups:
        return ""
    text: bytes | None = match.group(group)
    return "" if text is None else text.decode()


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else "" if value is None else value


def _put(labels: Labels, name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _step(rule: Rule) -> Step:
    """Make the function that applies the rule to labels in place and tells whether they are kept."""
    return _STEPS[rule.action](rule)


def _reader(rule: Rule) -> Callable[[Labels], str]:
    names, separator = rule.source_labels, rule.separator
    if len(names) == 1:
        (name,) = names
        return lambda labels: labels.get(name, "")
    return lambda labels: separator.join([labels.get(name, "") for name in names])


def _matcher(regex: str) -> Callable[[str], bool]:
    """Whether a text matches; the last few thousand answers are remembered, since series repeat their values."""
    if regex == _ANY:
        return lambda _text: True
    compiled = compile_regex(regex)

    @lru_cache(maxsize=_REMEMBERED)
    def matches(text: str) -> bool:
        return compiled.fullmatch(text.encode()) is not None

    return matches


def _filter(rule: Rule, *, keep: bool) -> Step:
    read, matches = _reader(rule), _matcher(rule.regex)
    return lambda labels: matches(read(labels)) is keep


def _compare(rule: Rule, *, keep: bool) -> Step:
    read, target = _reader(rule), rule.target_label
    return lambda labels: (labels.get(target, "") == read(labels)) is keep


def _replace(rule: Rule) -> Step:
    read, compiled = _reader(rule), compile_regex(rule.regex)
    target, replacement = Template(rule.target_label), Template(rule.replacement)

    @lru_cache(maxsize=_REMEMBERED)
    def result(text: str) -> tuple[str, str] | None:
        match = compiled.fullmatch(text.encode())
        if match is None:
            return None
        name = target.expand(match)
        return (name, replacement.expand(match)) if is_name(name) else None

    def step(labels: Labels) -> bool:
        found = result(read(labels))
        if found is not None:
            _put(labels, *found)
        return True

    return step


def _hash_mod(rule: Rule) -> Step:
    read, target, modulus = _reader(rule), rule.target_label, rule.modulus

    def step(labels: Labels) -> bool:
        # Which hash it is, is part of the format: two servers that share the targets must agree.
        digest = hashlib.md5(read(labels).encode(), usedforsecurity=False).digest()
        labels[target] = str(int.from_bytes(digest[8:], "big") % modulus)
        return True

    return step


def _change_case(rule: Rule, change: Callable[[str], str]) -> Step:
    read, target = _reader(rule), rule.target_label

    def step(labels: Labels) -> bool:
        text = read(labels)
        _put(labels, target, change(text) if text.isascii() else "".join(_one_letter(c, change) for c in text))
        return True

    return step


def _one_letter(letter: str, change: Callable[[str], str]) -> str:
    """Return a letter in another case as Unicode's simple mapping has it, which Go uses: ß stays, İ becomes i."""
    changed = change(letter)
    if len(changed) == 1:
        return changed
    if change is str.lower:
        return "i" if letter == "İ" else letter
    titled = letter.title()
    return titled if len(titled) == 1 else letter


def _label_map(rule: Rule) -> Step:
    compiled, replacement = compile_regex(rule.regex), Template(rule.replacement)

    @lru_cache(maxsize=_REMEMBERED)
    def renamed(name: str) -> str | None:
        match = compiled.fullmatch(name.encode())
        return None if match is None else replacement.expand(match)

    def step(labels: Labels) -> bool:
        for name, value in sorted(labels.items()):
            new = renamed(name)
            if new:
                labels[new] = value
        return True

    return step


def _label_filter(rule: Rule, *, keep: bool) -> Step:
    matches = _matcher(rule.regex)

    def step(labels: Labels) -> bool:
        for name in [name for name in labels if matches(name) is not keep]:
            del labels[name]
        return True

    return step


_STEPS: dict[Action, Callable[[Rule], Step]] = {
    Action.REPLACE: _replace,
    Action.KEEP: lambda rule: _filter(rule, keep=True),
    Action.DROP: lambda rule: _filter(rule, keep=False),
    Action.KEEP_EQUAL: lambda rule: _compare(rule, keep=True),
    Action.DROP_EQUAL: lambda rule: _compare(rule, keep=False),
    Action.HASH_MOD: _hash_mod,
    Action.LABEL_MAP: _label_map,
    Action.LABEL_DROP: lambda rule: _label_filter(rule, keep=False),
    Action.LABEL_KEEP: lambda rule: _label_filter(rule, keep=True),
    Action.LOWERCASE: lambda rule: _change_case(rule, str.lower),
    Action.UPPERCASE: lambda rule: _change_case(rule, str.upper),
}


def scraped_labels(exposed: Mapping[str, str], own: Mapping[str, str], *, honor: bool) -> Labels:
    """Return a scraped series' labels with the target's own put to them.

    Where both have one, the series' is kept as `exported_…`, or wins when it is to be honoured.
    """
    if honor:
        return {**own, **exposed}
    labels = {**exposed, **own}
    clashes = [name for name in own if exposed.get(name)]
    for name in sorted(clashes, key=len):
        new = f"exported_{name}"
        while labels.get(new):
            new = f"exported_{new}"
        labels[new] = exposed[name]
    return labels
