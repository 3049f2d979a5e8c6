"""The kinds of facts. Each is declared once, by the wing that writes it, with its fields and its sentence.

CHECK_CHANGED = declare("check.changed", "{subject} went from {was} to {health}: {message}", was=str, health=str, …)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mainstay.foundation.clock import utc_text

KINDS: dict[str, "EntryKind"] = {}


class BadFact(TypeError):
    """A fact was written with a field missing, unknown, or of the wrong type: a defect of the caller."""


class Instant(str):
    """A time as a fact carries it: ISO 8601 in UTC. Only the sentence makes words of it."""

    __slots__ = ()

    @classmethod
    def of(cls, at: datetime) -> "Instant":
        """Make one of an aware time, whatever its zone."""
        return cls(at.astimezone(UTC).isoformat())


@dataclass(frozen=True, slots=True)
class EntryKind:
    """A kind of fact.

    Attributes:
        template: the sentence people read.
        verb: what of it stands first and in bold on a page about the subject; "": its first word.
        fields: each with its JSON types.
        tone: good or bad news, a role of a colour; or told by the fact's `health`.
    """

    name: str
    template: str
    verb: str
    fields: Mapping[str, type | tuple[type, ...]]
    tone: str | Mapping[str, str]

    def check(self, facts: Mapping[str, Any]) -> None:
        """Raise `BadFact` unless `facts` has exactly the declared fields, each null or of its type."""
        if facts.keys() != self.fields.keys():
            wrong = sorted(facts.keys() ^ self.fields.keys())
            raise BadFact(f"{self.name}: fields missing or unknown: {', '.join(wrong)}")
        for name, value in facts.items():
            if value is not None and not isinstance(value, self.fields[name]):
                raise BadFact(f"{self.name}: {name} is {type(value).__name__}, declared as {self.fields[name]}")


def declare(
    name: str, template: str, *, tone: str | Mapping[str, str] = "", **fields: type | tuple[type, ...]
) -> EntryKind:
    """Declare a kind of fact. `template` may name `{subject}` and the fields, and set its verb between two `**`."""
    if name in KINDS:
        raise BadFact(f"the kind {name} is declared twice")
    before, _, rest = template.partition("**")
    verb, _, after = rest.partition("**")
    kind = KINDS[name] = EntryKind(name, before + verb + after, verb, fields, tone)
    kind.template.format(subject="", **dict.fromkeys(fields, ""))
    return kind


def sentence(kind: str, subject: str, facts: Mapping[str, Any]) -> str:
    """Return the sentence of a fact; a kind that is no longer declared is shown by name and facts."""
    declared = KINDS.get(kind)
    if declared is None:
        return f"{subject}: {kind} {', '.join(f'{k}={v}' for k, v in facts.items())}".strip()
    shown = {name: _shown(facts.get(name), field) for name, field in declared.fields.items()}
    text = declared.template.format(subject=subject, **shown).strip()
    return text.removesuffix(":").removesuffix("()").strip()


def _shown(value: Any, field: type | tuple[type, ...]) -> str:
    if value is None:
        return ""
    if field is Instant:
        try:
            return utc_text(datetime.fromisoformat(value))
        except (TypeError, ValueError):  # an older entry
            return str(value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)
