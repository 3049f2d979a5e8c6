"""Receivers: what routes name, and the channels that each of them is at a given time.

A bare name is a channel. "word:name" is a receiver of another kind: who has a schedule now, a person, a policy. Whoever
has such receivers registers the word when its app is ready; delivery knows none of them. They are resolved when a page
is put into the outbox, not when a route is written: whoever is on duty then gets it, a reminder or a fallback anew.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstay.respond.delivery.models import Channel

Resolve = Callable[[Collection[str], datetime], Mapping[str, Sequence[str]]]
"""Given names of receivers of one kind and a time, return the channels of each, best first.

A name that does not exist is left out; one that is nobody at that time has no channels.
"""

RECEIVERS: dict[str, Resolve] = {}
"""By the word before the colon."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What names a channel, such as a route.

    Attributes:
        href: its page.
        first: it names the channel at first, not only as a fallback.
        alone: at first it names no other.
    """

    name: str
    href: str
    first: bool
    alone: bool


NAMED_BY: list[Callable[[str], Iterable[Naming]]] = []
"""Who sends to channels, asked by a channel's name; each adds itself when its app is ready."""


def naming(channel: str) -> list[Naming]:
    """Return all that names a channel."""
    return [one for find in NAMED_BY for one in find(channel)]


def split(receiver: str) -> tuple[str, str]:
    """Return the kind and the name of a receiver; the kind is empty for a channel."""
    word, colon, name = receiver.partition(":")
    return (word, name) if colon else ("", receiver)


def channels_of(receivers: Iterable[str], now: datetime) -> dict[str, tuple[str, ...]]:
    """Return the channels that each of `receivers` is at `now`; those that do not exist are left out."""
    found: dict[str, tuple[str, ...]] = {}
    names: dict[str, list[str]] = {}
    for receiver in dict.fromkeys(receivers):
        word, name = split(receiver)
        if not word:
            found[receiver] = (name,)
        elif word in RECEIVERS:
            names.setdefault(word, []).append(name)
    for word, some in names.items():
        found |= {f"{word}:{name}": tuple(channels) for name, channels in RECEIVERS[word](some, now).items()}
    known = existing(name for channels in found.values() for name in channels)
    return {
        receiver: tuple(name for name in channels if name in known)
        for receiver, channels in found.items()
        if ":" in receiver or receiver in known
    }


def unknown(receivers: Sequence[str], known: Collection[str]) -> str:
    """Return what is wrong with the first of `receivers` that is not among those `known`; empty when all are."""
    missing = next((receiver for receiver in receivers if receiver not in known), None)
    if missing is None:
        return ""
    word, name = split(missing)
    if word and word not in RECEIVERS:
        others = " or ".join(f"{each}:…" for each in sorted(RECEIVERS))
        return f"{missing} is no receiver: name a channel{f' or {others}' if others else ''}"
    return f"no {word or 'channel'} named {name} exists"


def existing(channels: Iterable[str]) -> set[str]:
    """Return those of `channels` that there are."""
    names = set(channels)
    return set(Channel.objects.filter(name__in=names).values_list("name", flat=True)) if names else set()
