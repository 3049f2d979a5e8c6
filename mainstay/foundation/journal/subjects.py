"""Where the subjects of entries are shown."""

from django.urls import NoReverseMatch, reverse

from mainstay.foundation.wing import SubjectPage

SUBJECT_PAGES: dict[str, SubjectPage] = {}
"""Type of subject → the page it is shown on; the desk adds those of all wings."""


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
