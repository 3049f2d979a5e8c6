"""What one notification says, independent of how it travels.

A `Message` is a value: the outbox stores it as JSON in the transaction that decided to send it, and a
sender reads it back later, perhaps in another process running another version of the program. It therefore
holds only what can be written to JSON and to every supported database.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from mainstay.foundation.text import storable
from mainstay.foundation.words import SEVERITIES


class Event(StrEnum):
    """Why the message is sent. The first four form the life of one alert."""

    TRIGGER = "trigger"
    """The alert fires."""
    REMIND = "remind"
    """It still fires and nobody has acknowledged it."""
    UPDATE = "update"
    """Of a group: other alerts are in it than was told."""
    ACKNOWLEDGE = "acknowledge"
    """Somebody works on it."""
    RESOLVE = "resolve"
    """It is over."""
    TEST = "test"
    """A person pressed "send a test message"; nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One notification about one alert, or about a group of them.

    Times are aware and kept in UTC. Texts are stored with NUL and unpaired surrogates replaced by U+FFFD.
    Raises `ValueError` for an unknown severity or a naive time.
    """

    event: Event
    title: str
    """What a lock screen shows: "shop / storefront is down"."""
    text: str
    """What is wrong, in one or two sentences."""
    severity: str
    """One of `SEVERITIES`."""
    application: str
    environment: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    """When it was over; None while it lasts."""
    url: str
    """Permalink of the alert."""
    acknowledge_url: str | None = None
    dedup_key: str
    """The same for trigger, remind, acknowledge and resolve of one alert."""
    reason: str = ""
    """Why this page was sent, to these people: the route or escalation step that decided it."""
    actor: str = ""
    """Who acknowledged or resolved it; empty when nobody did."""
    alerts: tuple["Message", ...] = ()
    """Of a group: its alerts, the most severe first, as far as one message holds them. Empty for a single alert."""
    more: int = 0
    """Of a group: how many alerts are in it besides `alerts`."""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity must be one of {', '.join(SEVERITIES)}, not {self.severity!r}")
        object.__setattr__(self, "event", Event(self.event))
        for name in _TEXTS:
            object.__setattr__(self, name, storable(getattr(self, name)))
        if self.acknowledge_url is not None:
            object.__setattr__(self, "acknowledge_url", storable(self.acknowledge_url))
        for name in ("labels", "annotations"):
            pairs = getattr(self, name)
            clean = {storable(key): storable(value) for key, value in pairs.items()}
            object.__setattr__(self, name, MappingProxyType(clean))
        object.__setattr__(self, "starts_at", _utc("starts_at", self.starts_at))
        if self.ends_at is not None:
            object.__setattr__(self, "ends_at", _utc("ends_at", self.ends_at))

    def to_json(self) -> str:
        """The message as one JSON object in ASCII; `from_json` gives an equal message back."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values["labels"] = dict(self.labels)
        values["annotations"] = dict(self.annotations)
        values["starts_at"] = self.starts_at.isoformat()
        values["ends_at"] = self.ends_at and self.ends_at.isoformat()
        if self.alerts:
            values["alerts"] = [json.loads(alert.to_json()) for alert in self.alerts]
        else:
            del values["alerts"], values["more"]
        return json.dumps(values)

    @classmethod
    def from_json(cls, stored: str | bytes | Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, or the object already decoded from it.

        Unknown members are ignored, so that an older worker can send what a newer one queued. Raises
        `ValueError` when a required member is missing or of the wrong type.
        """
        try:
            values = stored if isinstance(stored, Mapping) else json.loads(stored)
        except RecursionError:
            raise ValueError("this stored message is nested too deeply") from None
        if not isinstance(values, Mapping):
            raise ValueError(f"a stored message is a JSON object, not {type(values).__name__}")
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        try:
            known["starts_at"] = datetime.fromisoformat(known["starts_at"])
            if known.get("ends_at") is not None:
                known["ends_at"] = datetime.fromisoformat(known["ends_at"])
            known["alerts"] = tuple(cls.from_json(alert) for alert in known.get("alerts", ()))
            return cls(**known)
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"this stored message is incomplete or malformed: {error}") from error


_TEXTS = ("title", "text", "application", "environment", "url", "dedup_key", "reason", "actor")


def _utc(name: str, at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{name} must be an aware datetime, not a naive one")
    return at.astimezone(UTC)
