"""Times are shown in the zone of whoever looks."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from mainstay.foundation.accounts.models import User
from mainstay.web.zone import InTheirZone


@pytest.mark.parametrize(
    ("zone", "shown"), [("Europe/Berlin", "Europe/Berlin"), ("", "UTC"), ("Nowhere/At_all", "UTC"), ("../etc", "UTC")]
)
def test_the_person_s_zone_holds_during_their_request_only(zone: str, shown: str) -> None:
    request = HttpRequest()
    request.user = User(time_zone=zone)
    answer = InTheirZone(lambda _: HttpResponse(timezone.get_current_timezone_name()))(request)
    assert isinstance(answer, HttpResponse)
    assert answer.content.decode() == shown
    assert timezone.get_current_timezone_name() == "UTC"
