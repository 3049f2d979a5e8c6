"""What one message says, independent of how it travels.

A `Message` is a value: the outbox stores it as JSON in the transaction that decided to send it, and a
sender reads it back later, perhaps in another process running another version of the program. It therefore
holds only what can be written to JSON and to every supported database.

Every channel can send every kind of message from its title, text, facts and links. The kind "alert" brings a part of
its own besides, for the formats that are about alerts (Alertmanager's webhook, PagerDuty's events, Slack's threads).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from mainstay.foundation.words.names import SEVERITIES
from mainstay.foundation.words.text import storable

ALERT = "alert"
_KIND = re.compile(r"[a-z][a-z_]{0,11}")


class Event(StrEnum):
    """Why a message about an alert is sent. The first five form the life of one alert, or of a group of them."""

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


@dataclass(frozen=True, slots=True)
class Link:
    """Where a message leads: the text of a button or line, and its address.

    `main` is the one thing that the reader is to do; a channel makes it stand out.
    """

    text: str
    url: str
    main: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", storable(self.text))
        object.__setattr__(self, "url", storable(self.url))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPart:
    """What a message of the kind "alert" says besides: of one alert, or of a group of them."""

    event: Event
    application: str
    environment: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ends_at: datetime | None = None
    """When it was over; None while it lasts."""
    url: str
    """Permalink of the alert."""
    acknowledge_url: str | None = None
    actor: str = ""
    """Who acknowledged or resolved it; empty when nobody did."""
    alerts: tuple["Message", ...] = ()
    """Of a group: its alerts, the most severe first, as far as one message holds them. Empty for a single alert."""
    more: int = 0
    """Of a group: how many alerts are in it besides `alerts`."""

    @property
    def number(self) -> int:
        """Of a group: how many alerts are in it."""
        return len(self.alerts) + self.more

    def __post_init__(self) -> None:
        object.__setattr__(self, "event", Event(self.event))
        for name in ("application", "environment", "url", "actor"):
            object.__setattr__(self, name, storable(getattr(self, name)))
        if self.acknowledge_url is not None:
            object.__setattr__(self, "acknowledge_url", storable(self.acknowledge_url))
        for name in ("labels", "annotations"):
            pairs = getattr(self, name)
            clean = {storable(key): storable(value) for key, value in pairs.items()}
            object.__setattr__(self, name, MappingProxyType(clean))
        if self.ends_at is not None:
            object.__setattr__(self, "ends_at", _utc("ends_at", self.ends_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to people or programs.

    Times are aware and kept in UTC. Texts are stored with NUL and unpaired surrogates replaced by U+FFFD.
    Raises `ValueError` for an unknown urgency, a naive time, or an alert's part that is missing or too much.
    """

    kind: str
    """What it is about, in one word: "alert", "notice"."""
    title: str
    """What a lock screen shows: "shop / storefront is down"."""
    text: str
    """What is wrong or new, in one or two sentences."""
    facts: tuple[tuple[str, str], ...] = ()
    """What a reader needs beside the text, in reading order: name and value. Those of an alert's part come first."""
    links: tuple[Link, ...] = ()
    """Where to read on or act, the most useful last. Those of an alert's part come first."""
    urgency: str
    """One of `SEVERITIES`: how soon it is sent and how loud it looks. Of an alert its severity."""
    thread: str
    """The same for all messages about one thing: trigger, remind, acknowledge and resolve of one alert."""
    at: datetime
    """When what it tells of began or happened."""
    state: str = ""
    """How things stand, in a word or two before the title: "SLA warning". An alert's part knows its own."""
    reason: str = ""
    """Why it was sent, to these people: the route or escalation step that decided it."""
    alert: AlertPart | None = None
    """Of the kind "alert" alone."""

    def __post_init__(self) -> None:
        if self.urgency not in SEVERITIES:
            raise ValueError(f"the urgency must be one of {', '.join(SEVERITIES)}, not {self.urgency!r}")
        if not _KIND.fullmatch(self.kind):
            raise ValueError(f"the kind of a message is a word of at most 12 small letters, not {self.kind!r}")
        if (self.kind == ALERT) != (self.alert is not None):
            raise ValueError("a message of the kind alert has a part of its own, and no other has it")
        for name in ("title", "text", "thread", "state", "reason"):
            object.__setattr__(self, name, storable(getattr(self, name)))
        object.__setattr__(self, "facts", tuple((storable(name), storable(value)) for name, value in self.facts))
        object.__setattr__(self, "at", _utc("at", self.at))

    @property
    def event(self) -> str:
        """What the log of deliveries calls it: the event of an alert, else its kind."""
        return self.kind if self.alert is None else self.alert.event.value

    def of_alert(self, **changes: Any) -> Self:
        """Return the same message about an alert with other values in its alert's part."""
        assert self.alert is not None
        return replace(self, alert=replace(self.alert, **changes))

    def to_json(self) -> str:
        """The message as one JSON object in ASCII; `from_json` gives an equal message back."""
        return json.dumps(self._stored())

    def _stored(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            "kind": self.kind,
            "title": self.title,
            "text": self.text,
            "reason": self.reason,
            **({"facts": self.facts} if self.facts else {}),
            **({"links": [[link.text, link.url, link.main] for link in self.links]} if self.links else {}),
            **({"state": self.state} if self.state else {}),
        }
        part = self.alert
        if part is None:
            return values | {"urgency": self.urgency, "thread": self.thread, "at": self.at.isoformat()}
        # Flat and under the names that alerts have always had here, so that an older worker can send what a newer one
        # queued.
        values |= {each.name: getattr(part, each.name) for each in fields(part)}
        values |= {"severity": self.urgency, "dedup_key": self.thread, "starts_at": self.at.isoformat()}
        values["labels"], values["annotations"] = dict(part.labels), dict(part.annotations)
        values["ends_at"] = part.ends_at and part.ends_at.isoformat()
        if part.alerts:
            values["alerts"] = [alert._stored() for alert in part.alerts]
        else:
            del values["alerts"], values["more"]
        return values

    @classmethod
    def from_json(cls, stored: str | bytes | Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, or the object already decoded from it.

        What was stored before there were kinds is about an alert. Unknown members are ignored. Raises `ValueError`
        when a required member is missing or of the wrong type.
        """
        try:
            values = stored if isinstance(stored, Mapping) else json.loads(stored)
        except RecursionError:
            raise ValueError("this stored message is nested too deeply") from None
        if not isinstance(values, Mapping):
            raise ValueError(f"a stored message is a JSON object, not {type(values).__name__}")
        try:
            return cls._read(values)
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"this stored message is incomplete or malformed: {error}") from error

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> Self:
        kind = values.get("kind", ALERT)
        part = _part(cls, values) if kind == ALERT else None
        urgency, thread, at = ("urgency", "thread", "at") if part is None else ("severity", "dedup_key", "starts_at")
        return cls(
            kind=kind,
            title=values["title"],
            text=values["text"],
            facts=tuple((name, value) for name, value in values.get("facts", ())),
            links=tuple(Link(text, url, bool(main)) for text, url, main in values.get("links", ())),
            urgency=values[urgency],
            thread=values[thread],
            at=datetime.fromisoformat(values[at]),
            state=values.get("state", ""),
            reason=values.get("reason", ""),
            alert=part,
        )


def _part(cls: type[Message], values: Mapping[str, Any]) -> AlertPart:
    known = {each.name: values[each.name] for each in fields(AlertPart) if each.name in values}
    if known.get("ends_at") is not None:
        known["ends_at"] = datetime.fromisoformat(known["ends_at"])
    known["alerts"] = tuple(cls.from_json(alert) for alert in known.get("alerts", ()))
    return AlertPart(**known)


def _utc(name: str, at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{name} must be an aware datetime, not a naive one")
    return at.astimezone(UTC)
