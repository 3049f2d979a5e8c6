"""Label matchers of silences, routes and maintenance windows: one grammar in the file, the API and the forms. Pure.

Two ways to write mean the same: a mapping `{severity: critical, team: [web, db]}` (equal to the value, or to any of a
list), and texts as Alertmanager takes them, `instance=~"web-.*"` with `=`, `!=`, `=~` or `!~`. As there, all matchers
must hold, a label that is missing is the same as an empty one, and a regular expression (RE2) must match the whole
value, where a dot matches no line end. https://prometheus.io/docs/alerting/latest/configuration/#matcher
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Final, Protocol, Self, cast

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from mainstay.foundation.refusal import Refused, misfit
from mainstay.foundation.words.pattern import PatternError, compile_pattern

MOST_LABELS = 50
MOST_VALUES = 200  # of one label
LONGEST_VALUE = 1_000
LONGEST_NAME = 200
LONGEST_TEXT = 20_000
OPERATORS: Final = ("=", "!=", "=~", "!~")
Stored = dict[str, Any]
"""As a JSON column holds it: label → text, or list of texts (any of them), or operator → list of texts."""

_NAME = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|([^\s{}!=~,\\"'`]+))\s*(=~|!~|!=|=)""", re.DOTALL)
_QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNQUOTED = re.compile(r'[^\S\n]*((?:[^,"\\\n{}]|\\[^\n])*)')
_END = re.compile(r"[^\S\n]*(?:[,\n]|$)")
_ESCAPE = re.compile(r'\\(?:(["\\n])|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))')
_GO_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-7][0-9a-fA-F])|(.?))", re.DOTALL)
_BARE_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_GO_ESCAPES = {**_BARE_ESCAPES, "a": "\a", "b": "\b", "f": "\f", "r": "\r", "t": "\t", "v": "\v"}
_BARE = re.compile(r"""[^\s{}!=~,\\"'`|]+""")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_LITERAL = re.compile(r"(?:[^\\.+*?()|\[\]{}^$]|\\[!-/:-@\[-^`{-~])*", re.DOTALL)
_LISTED = re.compile(r"(?:[^\\.+*?()\[\]{}^$]|\\[!-/:-@\[-^`{-~])*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label and what its value must be: any of `texts` (`=`), none of them (`!=`, `!~`), all of them (`=~`)."""

    name: str
    operator: str
    texts: tuple[str, ...]
    _regexes: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        if self.operator in {"=~", "!~"}:
            object.__setattr__(self, "_regexes", tuple((text, _prefix(text)) for text in self.texts))

    def takes(self, value: str) -> bool:
        """Tell whether a label with this value matches; a missing one is empty."""
        if self.operator == "=":
            return value in self.texts
        if self.operator == "!=":
            return value not in self.texts
        wanted = self.operator == "=~"
        return all(_fits(text, prefix, value) is wanted for text, prefix in self._regexes)

    def implies(self, other: "Matcher") -> bool:
        """Tell whether whatever it takes, the other surely takes, too."""
        if self == other:
            return True
        if (self.name, self.operator) != (other.name, other.operator):
            return False
        mine, others = set(self.texts), set(other.texts)
        return mine <= others if self.operator == "=" else mine >= others

    def refusal(self, value: str) -> str:
        """Return why it does not take `value`, as the end of a sentence."""
        match self.operator:
            case "=":
                return f"not {' or '.join(text or 'empty' for text in self.texts)}"
            case "!=":
                return "which is excluded"
            case "=~":
                return f"which does not match {next(text for text in self.texts if not _matched(text, value))}"
            case _:
                return f"which matches {next(text for text in self.texts if _matched(text, value))}"

    def in_words(self) -> str:
        """Return it as people say it: `team is web or db`."""
        shown = [text or "empty" for text in self.texts]
        match self.operator:
            case "=":
                return f"{self.name} is {' or '.join(shown)}"
            case "!=":
                return f"{self.name} is not {' or '.join(shown)}"
            case "=~":
                return f"{self.name} matches {' and '.join(shown)}"
            case _:
                return f"{self.name} does not match {' or '.join(shown)}"

    def written(self) -> list[str]:
        """Return it as texts that Alertmanager takes, too."""
        name = self.name if _BARE.fullmatch(self.name) else _quoted(self.name)
        if self.operator == "=" and len(self.texts) > 1:
            listed = "|".join(_META.sub(r"\\\g<0>", text) for text in self.texts)
            return [f"{name}=~{_quoted(listed)}"]
        plain = self.operator in {"=", "!="}
        return [
            f"{name}{self.operator}{text if plain and _BARE.fullmatch(text) else _quoted(text)}" for text in self.texts
        ]


@dataclass(frozen=True, slots=True)
class Matchers:
    """What labels must be, all of it; without any matcher everything matches."""

    all: tuple[Matcher, ...] = ()
    _quick: tuple[Matcher, ...] = field(init=False, repr=False, compare=False, default=())  # comparisons first

    def __post_init__(self) -> None:
        object.__setattr__(self, "_quick", tuple(sorted(self.all, key=lambda one: OPERATORS.index(one.operator))))

    def implies(self, other: "Matchers") -> bool:
        """Tell whether whatever it takes, the other surely takes, too; where that cannot be told, False."""
        return all(any(mine.implies(one) for mine in self.all) for one in other.all)

    def __bool__(self) -> bool:
        return bool(self.all)

    @classmethod
    def read(
        cls,
        match: Mapping[str, str | Sequence[str]] | None = None,
        texts: Iterable[str] = (),
        *,
        place: str = "matchers",
    ) -> Self:
        """Return the matchers of a mapping and of texts, each of which may hold several, in braces or not.

        Raises:
            Refused: with `place` as its field when something cannot be read or nothing could match.
        """
        given = [
            (name, "=", (value,) if isinstance(value, str) else tuple(value)) for name, value in (match or {}).items()
        ]
        return cls(_gathered([*given, *(one for text in texts for one in _parsed(text, place))], place))

    @staticmethod
    def of(stored: Stored) -> "Matchers":
        """Return what `stored` gave; the same rows are read again and again in a storm, and made only once.

        Raises:
            Refused: it has another shape.
        """
        return _of(json.dumps(stored))

    def stored(self) -> Stored:
        """Return the one JSON shape in which matchers are kept: equal matchers are equal documents."""
        found: Stored = {}
        for one in self.all:
            found.setdefault(one.name, {})[one.operator] = list(one.texts)
        for name, given in found.items():
            if list(given) == ["="]:
                found[name] = given["="] if len(given["="]) > 1 else given["="][0]
        return found

    @property
    def match(self) -> dict[str, str | list[str]]:
        """The comparisons, as `match` of a spec has them."""
        equal = [one for one in self.all if one.operator == "="]
        return {one.name: list(one.texts) if len(one.texts) > 1 else one.texts[0] for one in equal}

    @property
    def matchers(self) -> list[str]:
        """All others, as `matchers` of a spec has them."""
        return sorted(text for one in self.all if one.operator != "=" for text in one.written())

    def write(self) -> str:
        """Return one line that `read` and Alertmanager take: `application=shop, instance=~"web-.*"`."""
        return ", ".join(text for one in self.all for text in one.written())

    def in_words(self) -> str:
        """Return what is meant, as people say it; empty when everything is."""
        return " and ".join(one.in_words() for one in self.all)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether these labels match."""
        for one in self._quick:  # noqa: SIM110  # a storm asks a million times, and a generator costs as much as a comparison
            if not one.takes(labels.get(one.name, "")):
                return False
        return True

    def mismatch(self, labels: Mapping[str, str]) -> str:
        """Return what keeps an alert with these labels from matching, as a sentence; empty when they match."""
        for one in self.all:
            value = labels.get(one.name, "")
            if not one.takes(value):
                return f"{one.name} is {value}, {one.refusal(value)}" if value else f"the alert has no {one.name}"
        return ""


EVERYTHING: Final = Matchers()


def equal(name: str, value: str) -> str:
    """Return the text of a matcher for one value."""
    return Matcher(name, "=", (value,)).written()[0]


def _fits(regex: str, prefix: str, value: str) -> bool:
    return value.startswith(prefix) and _matched(regex, value)


@lru_cache(maxsize=32_768)
def _matched(regex: str, value: str) -> bool:
    """Tell whether a regular expression, compiled once, matches the whole value; in a storm the same is asked often."""
    return compile_pattern(regex).fullmatch(value.encode("utf-8", "replace"))


@lru_cache(maxsize=4_096)
def _prefix(regex: str) -> str:
    """Return what every value begins with that a regular expression matches: a cheap question before the real one."""
    found = _LITERAL.match(regex)
    if found is None or "|" in regex:
        return ""
    letters = re.findall(r"\\.|.", found.group(), re.DOTALL)
    if regex[found.end() : found.end() + 1] in {"*", "?", "{"}:
        letters = letters[:-1]
    return "".join(letter[-1] for letter in letters)


Given = tuple[str, str, tuple[str, ...]]  # label, operator, texts


def _gathered(given: Iterable[Given], place: str) -> tuple[Matcher, ...]:
    """Return one matcher for each label and operator, so that what means the same is the same."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, operator, texts in _simplest(given, place):
        here = found.setdefault(name, {})
        before = here.get(operator, ())
        both = tuple(dict.fromkeys((*before, *texts)))
        if operator == "=" and before:
            both = tuple(text for text in before if text in texts)
            if not both:
                raise Refused(
                    f"{name} is given twice with different values, so nothing could match;"
                    f' to match any of them write {name}=~"one|other"',
                    place,
                )
        if len(both) > MOST_VALUES:
            raise Refused(f"{name} has more than {MOST_VALUES} values", place)
        here[operator] = both if operator == "=" else tuple(sorted(both))
    if len(found) > MOST_LABELS:
        raise Refused(f"at most {MOST_LABELS} labels", place)
    return tuple(
        Matcher(name, operator, here[operator])
        for name, here in found.items()
        for operator in OPERATORS
        if operator in here
    )


def _simplest(given: Iterable[Given], place: str) -> Iterator[Given]:
    """Yield what is given, with a regular expression that only lists values (`web|db`) as a comparison with these."""
    for name, operator, texts in given:
        if not 0 < len(name) <= LONGEST_NAME or any(map(_UNSTORABLE.search, (name, *texts))):
            raise Refused(f"a label has a name of up to {LONGEST_NAME} characters, and no NUL in it", place)
        if operator in {"=", "!="}:
            yield name, operator, texts
            continue
        for text in texts:
            listed = _listed(text)
            if listed is not None:
                yield name, "=" if operator == "=~" else "!=", listed
                continue
            try:
                compile_pattern(text)
            except PatternError as error:
                raise Refused(f"the regular expression of {name} cannot be used: {error}", place) from None
            yield name, operator, (text,)


def _listed(regex: str) -> tuple[str, ...] | None:
    """Return the values that a regular expression lists, or None when it does more than that."""
    if not _LISTED.fullmatch(regex):
        return None
    found = [""]
    for piece in re.findall(r"\\.|.", regex, re.DOTALL):
        if piece == "|":
            found.append("")
        else:
            found[-1] += piece[-1]
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4_096)
def _of(stored: str) -> Matchers:
    return Matchers(_gathered(_unpacked(json.loads(stored)), "match"))


def _unpacked(stored: Any) -> Iterator[Given]:
    if not isinstance(stored, dict):
        raise Refused("what it matches cannot be read", "match")
    for name, wanted in stored.items():
        given = wanted if isinstance(wanted, dict) and wanted else {"=": wanted}
        for operator, texts in given.items():
            several = [texts] if isinstance(texts, str) and not isinstance(wanted, dict) else texts
            shaped = isinstance(several, list) and several and all(isinstance(text, str) for text in several)
            if operator not in OPERATORS or not shaped:
                raise Refused("what it matches cannot be read", "match")
            yield name, operator, tuple(several)


def _parsed(text: str, place: str) -> Iterator[Given]:
    """Yield the matchers of a text: separated by commas or lines, in braces or not."""
    rest = text.strip()
    if len(rest) > LONGEST_TEXT:
        raise Refused(f"has more than {LONGEST_TEXT} characters", place)
    if rest.startswith("{"):
        if not rest.endswith("}"):
            raise Refused("the brace at the beginning is not closed", place)
        rest = rest[1:-1].strip()
    at = 0
    while at < len(rest):
        found = _NAME.match(rest, at)
        if found is None:
            raise Refused(
                f"{_shown(rest, at)} is not name=value. Separate several by commas; quote a value that holds one", place
            )
        quoted, bare, operator = found.groups()
        name = bare if quoted is None else _literal(quoted, _GO_ESCAPES, "", place)
        value, at = _value(rest, found.end(), name, operator, place)
        yield name, operator, (value,)


def _value(text: str, at: int, name: str, operator: str, place: str) -> tuple[str, int]:
    """Return the value that begins at `at`, and where the next matcher does."""
    begun = f"{name}{operator}"
    found = _QUOTED.match(text, at) or _UNQUOTED.match(text, at)
    assert found is not None  # nothing but blanks is an empty value
    end = _END.match(text, found.end())
    if end is None:
        wrong = (
            "its quote is not closed; inside quotes a backslash is written twice"
            if text[found.end() :].lstrip().startswith('"') and not found.group(1)
            else "quote a value that holds a comma, a quote or a brace, and separate matchers by commas"
        )
        raise Refused(f"{begun}{_shown(text, at)[1:-1].strip()}: {wrong}", place)
    bare = found.re is _UNQUOTED
    value = found.group(1).rstrip() if bare else found.group(1)  # a line end that is written stays
    if operator in {"=", "!="}:
        value = _literal(value, _BARE_ESCAPES if bare else _GO_ESCAPES, begun, place)
    else:
        value = _unescaped(value)
    if bare:
        _need_plain(value, begun, place)
    if len(value) > LONGEST_VALUE:
        raise Refused(f"{begun}…: a value has {LONGEST_VALUE} characters at most", place)
    return value, end.end()


def _need_plain(value: str, begun: str, place: str) -> None:
    """Refuse what people write without quotes and mean in another way than it would be taken."""
    if not value:
        raise Refused(f'{begun} has no value; for an empty one write {begun}""', place)
    if value[0] in "=~":
        raise Refused(f"{begun}{value}: write one of = != =~ !~, and quote a value that begins with {value[0]}", place)
    if value[0] in "'`":
        raise Refused(f"{begun}{value}: quotes are double quotes here", place)
    if re.search(r"\s\S*(=|!~)", value):
        raise Refused(f"{begun}{value}: separate matchers by commas, or quote the value", place)
    if "|" in value and begun.endswith("="):
        name = begun.rstrip("!=")
        operator = "!~" if begun.endswith("!=") else "=~"
        raise Refused(
            f'{begun}{value}: for any of several values write {name}{operator}"{value}"; for one, quote it', place
        )


def _shown(text: str, at: int) -> str:
    return repr(text[at : at + 40].strip())


def _literal(text: str, escapes: Mapping[str, str], begun: str, place: str) -> str:
    """Return a text as Go reads it between quotes; only in regular expressions an unknown escape stands for itself."""

    def meant(found: re.Match[str]) -> str:
        *numbers, letter = found.groups()
        number = next((int(digits, 16) for digits in numbers if digits), None)
        if number is not None and number <= 0x10FFFF:
            return chr(number)
        if letter in escapes:
            return escapes[letter]
        raise Refused(f'{begun}"{text[:40]}": {found.group()} is no escape; write a backslash as \\\\', place)

    return _GO_ESCAPE.sub(meant, text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_meant, text) if "\\" in text else text


def _meant(found: re.Match[str]) -> str:
    plain, short, long = found.groups()
    if plain is not None:
        return "\n" if plain == "n" else str(plain)
    number = int(short or long, 16)
    return chr(number) if number <= 0x10FFFF else found.group()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _valid(text: str) -> str:
    Matchers.read(texts=[text], place="")
    return text


Value = Annotated[str, StringConstraints(max_length=LONGEST_VALUE, pattern=r"^[^\x00]*$")]
Match = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00]+$")],
        Value | Annotated[list[Value], Field(min_length=1, max_length=MOST_VALUES)],
    ],
    Field(max_length=MOST_LABELS),
]
"""Pydantic type of `match`: label → value, or list of values of which any will do."""
Texts = Annotated[
    list[Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_valid)]],
    Field(max_length=MOST_LABELS),
]
"""Pydantic type of `matchers`: texts such as `instance=~"web-.*"`."""


class _Matching(Protocol):
    match: Match
    matchers: Texts


class Matching(BaseModel):
    """A spec with the fields `match` and `matchers`: both ways of writing, brought into one form."""

    @model_validator(mode="after")
    def _in_one_form(self) -> Self:
        spec = cast(_Matching, self)
        try:
            found = Matchers.read(spec.match, spec.matchers)
        except Refused as error:
            raise misfit("matchers" if spec.matchers else "match", error.detail) from None
        spec.match, spec.matchers = found.match, found.matchers
        return self

    @property
    def wanted(self) -> Matchers:
        """What it matches."""
        spec = cast(_Matching, self)
        return Matchers.read(spec.match, spec.matchers)
