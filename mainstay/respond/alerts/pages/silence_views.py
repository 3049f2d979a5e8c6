"""Silences: what does not page for a while, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.words.matching import Matchers
from mainstay.kit import rows
from mainstay.kit.lists import by_key, columns, cursor, export, page_of
from mainstay.kit.live import live
from mainstay.kit.nav import trail
from mainstay.kit.replies import done, form_page, posted, saved
from mainstay.respond.alerts import actions
from mainstay.respond.alerts.models import Alert, Silence
from mainstay.respond.alerts.pages.forms import SilenceForm
from mainstay.respond.alerts.spec import SilenceNote

OPEN_READ = 2_000
COLUMNS: dict[str, Callable[[Silence], Any]] = {
    **columns("id=pk"),
    "match": lambda s: Matchers.of(s.match).match,
    "matchers": lambda s: Matchers.of(s.match).matchers,
    **columns(" ".join(("starts_at", "ends_at", *SilenceNote.model_fields, "created_by", "created_at"))),
}


@dataclass(frozen=True, slots=True)
class Table:
    """Silences of one state, each with the number of open alerts that it holds."""

    state: str
    title: str
    caption: str
    when: str  # heading of the column with the time that matters
    rows: Sequence[tuple[Silence, int]]


@needs(OPERATIONS_VIEW, "GET")
def silences(request: HttpRequest) -> HttpResponseBase:
    """List what is silenced now, what will be, and what was."""
    now = clock.now()
    file = export(request, "silences", COLUMNS, by_key(Silence.objects.all()))
    if file is not None:
        return file
    paged = cursor(request) != (None, None)
    running = [] if paged else list(Silence.objects.filter(ends_at__gt=now).order_by("ends_at", "pk"))
    active = [row for row in running if row.state(now) == "active"]
    pending = [row for row in running if row.state(now) == "pending"]
    page = page_of(request, Silence.objects.filter(ends_at__lte=now))
    holds = _holds(active)
    context: dict[str, Any] = {
        "tables": [
            Table("active", "In force now", "Silences in force", "Ends", [(row, holds[row.pk]) for row in active]),
            Table("pending", "Begin later", "Silences that begin later", "Begins", [(row, 0) for row in pending]),
            Table("ended", "Ended", "Silences that have ended", "Ended", [(row, 0) for row in page.rows]),
        ],
        "active": len(active),
        "nothing": not running and not page.rows,
        "page": page,
        "paged": paged,
        "can_respond": actor_of(request).may(ALERTS_RESPOND),
        "held": sum(holds.values()),
        **trail("alerts"),
    }
    return live(request, "alerts/silences.html", context)


def _holds(active: list[Silence]) -> dict[int, int]:
    """Return how many open alerts each silence keeps from paging."""
    if not active:
        return {}
    labels = list(Alert.objects.filter(ended_at=None).values_list("labels", flat=True)[:OPEN_READ])
    return {row.pk: sum(map(Matchers.of(row.match).matches, labels)) for row in active}


@needs(ALERTS_RESPOND, "GET", "POST")
def create(request: HttpRequest) -> HttpResponse:
    """Silence alerts with given labels for a while. `label` ticks come as name=value, `matchers` as text."""
    now = clock.now()
    asked = {"matchers": request.GET.get("matchers", "")[:2000]}
    form = SilenceForm(posted(request), ticked=request.POST.getlist("label"), initial=asked)

    def put() -> Silence:
        return actions.silence(form.spec, actor_of(request), now)

    if row := saved(form, put):
        when = timezone.localtime(row.ends_at)
        return done(request, f"Silenced until {when:%a %d %b, %H:%M}: {row}.", reverse("silences"))
    # What came as ticks is shown as text, so that nothing is lost when the form comes back with an error.
    if form.is_bound and form.ticked:
        text = ", ".join(part for part in (form.data.get("matchers", ""), *form.ticked) if part)
        form.data = {**{name: form.data.get(name, "") for name in form.fields}, "matchers": text}
    return form_page(request, "alerts/silence_form.html", form, trail("alerts", "silences"))


@needs(ALERTS_RESPOND, "POST")
def end(request: HttpRequest, silence_id: int) -> HttpResponse:
    """End a silence early; what it held is decided on again."""
    row = get_object_or_404(Silence, pk=silence_id)
    now = clock.now()
    if row.state(now) == "ended":
        return done(request, "It had ended already.", reverse("silences"), tone="warn")
    actions.end_silence(row, actor_of(request), now)
    early = rows.write_duration((row.ends_at - now).total_seconds())
    return done(request, f"Ended {early} early. What it held is decided on again now.", reverse("silences"))
