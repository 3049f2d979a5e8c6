"""Times on pages are in the zone of whoever looks."""

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone


class InTheirZone:
    """Middleware: makes the signed-in person's time zone the current one, and UTC again afterwards."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            zone = ZoneInfo(getattr(request.user, "time_zone", "") or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):  # a zone that this host's database no longer has
            zone = ZoneInfo("UTC")
        with timezone.override(zone):
            return self.get_response(request)
