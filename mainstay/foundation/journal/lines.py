"""How pages show facts: one line per entry, with a link to what it is about."""

from typing import Any

from django.urls import NoReverseMatch, reverse

from mainstay.foundation.journal.kinds import sentence
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.wing import SubjectPage

SUBJECT_PAGES: dict[str, SubjectPage] = {}
"""Type of subject → the page it is shown on; the desk adds those of all wings."""

TONES = {
    "alert.fired": "bad",
    "alert.raised": "bad",
    "alert.paged": "warn",
    "alert.acknowledged": "accent",
    "alert.resolved": "ok",
    "page.delivered": "ok",
    "page.failing": "bad",
    "page.fell_back": "warn",
    "page.grouped": "warn",
    "page.withdrawn": "warn",
    "user.sign_in_failed": "warn",
    "check.flapping": "warn",
}
_HEALTH_TONES = {"up": "ok", "degraded": "warn", "down": "bad"}
_NOWHERE = "\x00"
_PHRASES = (
    "A one-time sign-in link",
    "A session",
    "A sign-in",
    "Does not page",
    "Is no longer acknowledged",
    "Signed in",
    "Was acknowledged",
    "Was added",
    "Was deactivated",
    "Was edited",
    "Was reactivated",
)


def subject_url(subject: str, name: str) -> str:
    """Return the address of the page about `subject` ("alert:12"), or its journal when it has no page of its own."""
    kind, _, number = subject.partition(":")
    page = SUBJECT_PAGES.get(kind)
    try:
        match page:
            case SubjectPage(url, "#"):
                return f"{reverse(url)}#{kind}-{number}"
            case SubjectPage(url, "?"):
                return f"{reverse(url)}?{kind}={number}"
            case SubjectPage(url, by):
                return reverse(url, args=[{"id": number, "name": name}[by]] if by else [])
    except NoReverseMatch:
        pass
    return f"{reverse('journal')}?subject={kind}%3A{number}"


def tone(entry: Entry) -> str:
    """Return the tone of a fact: what is bad news and what is good."""
    if entry.kind == "check.changed":
        return _HEALTH_TONES.get(str(entry.facts.get("health")), "")
    return TONES.get(entry.kind, "")


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
        "verb": next((phrase for phrase in _PHRASES if text.startswith(phrase)), text.split(" ", 1)[0].rstrip(":"))
        if about
        else "",
        "subject": "" if about else entry.subject_name,
        "href": "" if about else subject_url(entry.subject, entry.subject_name),
        "actor": "" if entry.actor.startswith("program:") else entry.actor_name,
        "tone": tone(entry),
        "kind": entry.kind,
    }
