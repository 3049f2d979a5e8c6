"""How pages show facts: one line per entry, with a link to what it is about."""

from typing import Any

from django.utils import timezone

from mainstay.foundation.journal.kinds import KINDS, sentence
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.subjects import subject_url

_NOWHERE = "\x00"


def tone(entry: Entry) -> str:
    """Return the tone of a fact: what is bad news and what is good."""
    declared = KINDS.get(entry.kind)
    if declared is None:
        return ""
    if isinstance(declared.tone, str):
        return declared.tone
    return declared.tone.get(str(entry.facts.get("health")), "")


def brief(entry: Entry) -> str:
    """Return the fact's sentence without its subject, for a page that is about the subject."""
    text = sentence(entry.kind, _NOWHERE, entry.facts)
    for before in (f"Alert {_NOWHERE} ", f"{_NOWHERE}: ", f"{_NOWHERE} "):
        text = text.removeprefix(before)
    text = text.replace(_NOWHERE, "them" if entry.subject.startswith("user:") else "it")
    return text[:1].upper() + text[1:]


def line(entry: Entry, *, about: bool = False) -> dict[str, Any]:
    """Return what `components/timeline.html` and the journal's list show of an entry.

    Args:
        about: the page is about the entry's subject, so it goes without saying.
    """
    text = brief(entry) if about else entry.sentence()
    return {
        "id": entry.pk,
        "at": entry.at,
        "text": text,
        "verb": _verb(entry, text) if about else "",
        "subject": "" if about else entry.subject_name,
        "href": "" if about else subject_url(entry.subject, entry.subject_name),
        "actor": "" if entry.actor.startswith("program:") else entry.actor_name,
        "tone": tone(entry),
        "kind": entry.kind,
    }


def latest(subject: str, most: int) -> list[dict[str, Any]]:
    """Return the newest entries about `subject`, for the page that is about it."""
    entries = Entry.objects.filter(subject=subject).order_by("-pk")[:most]
    return [line(entry, about=True) | {"at": timezone.localtime(entry.at)} for entry in entries]


def _verb(entry: Entry, text: str) -> str:
    declared = KINDS.get(entry.kind)
    verb = declared.verb if declared else ""
    return text[: len(verb)] if verb and text.lower().startswith(verb.lower()) else text.split(" ", 1)[0].rstrip(":")
