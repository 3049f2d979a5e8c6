"""Operations on checks."""

from datetime import datetime
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Body, Query, Router
from pydantic import Field, StringConstraints, create_model

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import needs
from mainstay.foundation.api.body import Described, Document, read
from mainstay.foundation.api.collection import Collection, columns, spec_in
from mainstay.foundation.api.marks import marked
from mainstay.foundation.api.pagination import Page, cut, decode, encode, page, page_by_time
from mainstay.foundation.api.problems import not_found
from mainstay.foundation.api.types import Id, Paging, Search, Time
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.refusal import Refused
from mainstay.foundation.resource import By
from mainstay.foundation.words.names import Name, Severity
from mainstay.observe.checks import actions, resource
from mainstay.observe.checks.api.rows import CheckDetail, CheckRow, Last, PingRow, ResultRow, TryResult, check_row
from mainstay.observe.checks.api.trying import try_once
from mainstay.observe.checks.decide import Shown, Status
from mainstay.observe.checks.models import Check, Ping, Result
from mainstay.observe.checks.pages import listing
from mainstay.observe.checks.spec import CheckSpec
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT

router = Router()

NewCheck = create_model(
    "NewCheck",
    __base__=CheckSpec,
    __doc__="A check as people write it, and the application that it belongs to.",
    application=(Name, Field(description="Name of the application.", examples=["shop"])),
)


class CheckFilter(Paging):
    """Which checks."""

    application: Search = Field(default="", description="Name of an application.")
    status: Status | None = Field(default=None, description="How they stand now.")
    kind: Search = Field(default="", description="http, heartbeat, tcp, …")
    severity: Severity | None = None
    label: Annotated[str, StringConstraints(max_length=301, pattern=r"^([a-zA-Z0-9_-]{1,100}(=[^\x00]*)?)?$")] = Field(
        default="", description="A label they have (team), or have with this value (team=payments)."
    )
    q: Search = Field(default="", description="Words that occur in name, target, application or labels.")


class ResultFilter(Paging):
    """Which results."""

    since: Time | None = Field(default=None, alias="from", description="At this time or later.")
    until: Time | None = Field(default=None, alias="to", description="Before this time.")


@router.get("/checks", auth=needs(OPERATIONS_VIEW), response=Page[CheckRow])
def list_checks(request: HttpRequest, given: Query[CheckFilter]) -> dict[str, Any]:
    """List checks and how they stand now."""
    at = now()
    filters = listing.Filters(
        application=given.application,
        status=given.status.value if given.status else "",
        kind=given.kind,
        severity=given.severity or "",
        text=given.q,
    )
    found = filters.query()
    if given.status:
        found = filters.candidates(found)
    if given.cursor:
        found = found.filter(pk__gt=decode(given.cursor))
    open_now = listing.open_windows(at)
    some = found.order_by("pk").values_list(*listing.COLUMNS)
    searched = given.status is not None or bool(given.label)
    rows: list[tuple[listing.Row, Shown]] = []
    # A status follows from the time, and databases disagree about labels: rows are looked at until the page is full.
    for values in some.iterator() if searched else some[: given.limit + 1]:
        row = listing.Row(*values)
        shown = row.shown(open_now, at)
        if (given.status is None or shown.status is given.status) and _labelled(row, given.label):
            rows.append((row, shown))
            if len(rows) > given.limit:
                break
    return cut(rows, lambda pair: check_row(*pair), given.limit, lambda pair: encode(pair[0].id))


def _labelled(row: listing.Row, label: str) -> bool:
    name, equals, value = label.partition("=")
    return not name or (name in row.labels and (not equals or row.labels[name] == value))


def _detail(check: Check, at: datetime) -> dict[str, Any]:
    (row,) = listing.read(Check.objects.filter(pk=check.pk))
    state = check.state
    last = None
    if state.last_at is not None:
        last = {name: getattr(state, f"last_{name}") for name in Last.model_fields}
    return check_row(row, row.shown(listing.open_windows(at), at)) | {
        "fail_after": check.fail_after,
        "recover_after": check.recover_after,
        "flapping": state.flapping,
        "last": last,
        "ping_url": f"{settings.BASE_URL}/ping/{check.ping_key}" if check.passive else None,
        "pinged_at": state.pinged_at,
        "due_at": state.due_at,
        "spec": resource.CHECKS.shown(check),
    }


def _save(body: Document, by: By, check: Check | None) -> Check:
    """Create a check in the application that the body names, or change one; it stays with its application."""
    if check is None:
        read(NewCheck, body)
    own = {name: value for name, value in body.items() if name != "application"}
    application = check.application if check else Application.objects.filter(name=body["application"]).first()
    if application is None:
        raise Refused(f"there is no application {body['application']}", "application")
    if body.get("application", application.name) != application.name:
        raise Refused(f"the check belongs to {application.name} and stays there; create another one", "application")
    spec = spec_in(own, CheckSpec, resource.CHECKS, check)
    return actions.put_check(application, spec, by.actor, by.at, existing=check)


CHECKS = Collection(
    router=router,
    resource=resource.CHECKS,
    view=OPERATIONS_VIEW,
    edit=CHECKS_EDIT,
    rows=lambda: Check.objects.select_related("application", "environment", "component", "state"),
    row=CheckDetail,
    show=_detail,
    new=NewCheck,
    save=_save,
    texts={
        "create": "Create a check. The monitor begins to probe it within a second.",
        "get": "Show a check.",
        "replace": "Make a check what the body says.\n\n"
        "Send what `spec` of the check shows, changed. A mask (`********`) keeps the secret that is stored at its"
        " place. When\n"
        "kind or target change, the check starts anew: an alert of it is resolved, and its state is unknown.",
        "remove": "Remove a check and its results. The journal keeps its facts; its alert is resolved.",
    },
)
CHECKS.serve("create")


@router.post("/checks/try", auth=needs(CHECKS_EDIT), response=TryResult)
@marked(slow=True, problems=(429,))
def try_check(request: HttpRequest, body: Body[Annotated[Document, Described(CheckSpec)]]) -> dict[str, Any]:
    """Probe once, now, and tell what it saw. Nothing is stored.

    The probe is held to the check's `timeout`, to 30 seconds at most. It runs where the API runs, which may see
    another network than the monitor does.
    """
    return try_once(read(CheckSpec, body), settings.ENVIRONMENT)


CHECKS.serve("get", "replace", "remove")


@CHECKS.act(MAINTENANCE_EDIT)
def pause_check(row: Check, by: By) -> None:
    """Stop probing and paging. Possible for a check that a file manages, too."""
    actions.pause(row, by.actor, by.at, paused=True)


@CHECKS.act(MAINTENANCE_EDIT)
def resume_check(row: Check, by: By) -> None:
    """Probe and page again. The check starts anew: what it was before no longer counts."""
    actions.pause(row, by.actor, by.at, paused=False)


@router.get("/checks/{check_id}/results", auth=needs(OPERATIONS_VIEW), response=Page[ResultRow])
def list_results(request: HttpRequest, check_id: Id, given: Query[ResultFilter]) -> dict[str, Any]:
    """List a check's results, the newest first.

    They are kept for `MAINSTAY_RESULTS_KEPT` (48 h); uptime and hourly figures go back further.
    """
    _exists(check_id)
    rows = Result.objects.filter(check_ref=check_id)
    if given.since is not None:
        rows = rows.filter(at__gte=given.since)
    if given.until is not None:
        rows = rows.filter(at__lt=given.until)
    return page_by_time(rows, "at", lambda row: columns(row, ResultRow), cursor=given.cursor, limit=given.limit)


@router.get("/checks/{check_id}/pings", auth=needs(OPERATIONS_VIEW), response=Page[PingRow])
def list_pings(request: HttpRequest, check_id: Id, given: Query[Paging]) -> dict[str, Any]:
    """List a heartbeat's pings, the newest first. They are kept for 90 days."""
    _exists(check_id)
    rows = Ping.objects.filter(check_ref=check_id)
    return page(rows, lambda row: columns(row, PingRow), cursor=given.cursor, limit=given.limit, newest_first=True)


def _exists(check_id: int) -> None:
    if not Check.objects.filter(pk=check_id).exists():
        raise not_found("check", check_id)
