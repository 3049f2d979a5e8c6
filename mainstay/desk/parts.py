"""What Mainstay itself gives to Now: whether it works, and what everybody is to do."""

import time
from collections.abc import Iterator
from datetime import datetime

from django.http import HttpRequest

from mainstay.desk.duties import duties
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.parts import Drawn, Sentence
from mainstay.foundation.processes import notices
from mainstay.foundation.processes.beat import health
from mainstay.foundation.processes.outage import outage


def itself(_request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """How Mainstay itself is."""
    refused = outage.present(time.monotonic())
    if refused:
        nothing = Sentence(0, f"Nothing is recorded: the database {refused}.")
        yield Drawn("now/refused.html", {"refused": refused}, nothing)
    else:  # whoever cannot write its beat is not missing
        late = {role: one for role, one in health(now).items() if one.status != "ok"}
        if late:
            yield Drawn("now/processes.html", {"processes": late})
    told = notices.current(now)
    if told:
        grave = next((one for one in told if one.grave), None)
        says = Sentence(1, f"{grave.title.rstrip('.')}.") if grave else None
        yield Drawn("now/notices.html", {"notices": told}, says)


def yours(request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """What the person is to do next."""
    user = request.user
    assert isinstance(user, User)  # nobody else may see the page
    yield Drawn("now/duties.html", {"duties": duties(user, now), "role": Role(user.role).label})
