"""What metrics give to an application's page."""

from collections.abc import Iterator
from datetime import datetime

from django.http import HttpRequest

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.parts import Drawn


def signals(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """Its golden signals, which the page asks for once it is shown."""
    yield Drawn("metrics/parts/signals.html", {"application": application})
