"""What the journal gives to Now and to an application's page."""

from collections.abc import Iterator
from datetime import datetime

from django.http import HttpRequest

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.pages.lines import line
from mainstay.foundation.parts import Drawn

SHOWN, OF_APPLICATION_SHOWN = 9, 12


def now(_request: HttpRequest, _now: datetime) -> Iterator[Drawn]:
    """The latest entries."""
    yield Drawn("journal/parts/now.html", {"entries": [line(entry) for entry in Entry.objects.order_by("-id")[:SHOWN]]})


def of_application(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """The latest entries of an application."""
    entries = Entry.objects.filter(application=application.pk).order_by("-id")[:OF_APPLICATION_SHOWN]
    context = {"entries": [line(entry) for entry in entries], "application": application}
    yield Drawn("journal/parts/application.html", context)
