"""Times in the zone of whoever looks."""

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from mainstay.foundation.accounts.models import User


class TimeZone:
    """Middleware, after authentication: makes the signed-in person's zone the current one for the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # `request.user` is read from the session only when it is looked at; static files and pings never do.
        if request.path_info.startswith(("/static/", "/api/", "/healthz", "/metrics")):
            return self.get_response(request)
        user = getattr(request, "user", None)
        if not isinstance(user, User) and not getattr(user, "is_authenticated", False):
            return self.get_response(request)
        try:
            zone = zoneinfo.ZoneInfo(str(getattr(user, "time_zone", "UTC")))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return self.get_response(request)
        with timezone.override(zone):
            return self.get_response(request)
