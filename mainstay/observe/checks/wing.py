"""Checks: probes and heartbeats, their states and uptime, maintenance."""

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, STATUS_VIEW, Role, permission
from mainstay.foundation.wing import Action, Beside, Duties, Look, Part, Place, Report, Search, SubjectPage, Wing

CHECKS_EDIT = permission("checks.edit", "Add, edit and remove checks", Role.DEVELOPER, Role.DEVOPS)
MAINTENANCE_EDIT = permission(
    "maintenance.edit",
    "Announce and cancel maintenance, pause checks",
    Role.SUPPORT,
    Role.DEVELOPER,
    Role.DEVOPS,
)

TAKES_PINGS = "takes_pings"
"""In the detail of a web process: whether a ping that comes now is stored."""

_PARTS = "mainstay.observe.checks.pages.parts"
_NOW = "mainstay.observe.checks.pages.now"
_APPLICATION = "mainstay.observe.checks.pages.application"

WING = Wing(
    app="mainstay.observe.checks",
    urls="mainstay.observe.checks.pages.urls",
    routers=("mainstay.observe.checks.api.router",),
    places=(
        Place("Checks", "checks", "Observe", 10, "checks", "c", "probes heartbeats monitors", bottom=True),
        Place("Maintenance", "maintenance", "Observe", 40, words="windows downtime"),
    ),
    actions=(
        Action("Add check", "check_new", "new monitor probe heartbeat"),
        Action("Add maintenance window", "maintenance_new", "announce downtime"),
        Action("Checks that are down", "checks", "failing", "status=down"),
        Action("Checks that are paused", "checks", "", "status=paused"),
    ),
    states={
        "up": Look("up", "ok", "●", "answers as expected"),
        "degraded": Look("degraded", "warn", "▲", "answers, but slowly or only in part"),
        "down": Look("down", "bad", "■", "does not answer as expected"),
        "unreachable": Look("unreachable", "warn", "◇", "cannot be judged: something it depends on is down"),
        "paused": Look("paused", "quiet", "‖", "not checked until someone resumes it"),
        "maintenance": Look("maintenance", "accent", "⚒", "in a planned maintenance window"),
    },
    subjects={"check": SubjectPage("check", by="id")},
    permissions=(
        CHECKS_EDIT,
        MAINTENANCE_EDIT,
    ),
    resources=(
        "mainstay.observe.checks.resource.CHECKS",
        "mainstay.observe.checks.resource.WINDOWS",
    ),
    parts=(
        Part("now", "live", 50, f"{_NOW}.states"),
        Part("now", "live", 60, f"{_NOW}.public", STATUS_VIEW),
        Part("now", "fleet", 10, f"{_NOW}.fleet", STATUS_VIEW),
        Part("now", "side", 20, f"{_NOW}.maintenance", STATUS_VIEW),
        Part("now", "buttons", 10, f"{_NOW}.buttons", MAINTENANCE_EDIT),
        Part("application", "live", 20, f"{_APPLICATION}.standing", STATUS_VIEW),
        Part("application", "below", 20, f"{_APPLICATION}.consists_of", STATUS_VIEW),
        Part("application", "side", 20, f"{_APPLICATION}.maintenance", STATUS_VIEW),
        Part("application", "buttons", 10, f"{_APPLICATION}.announcing", MAINTENANCE_EDIT),
        Part("application", "buttons", 20, f"{_APPLICATION}.adding", CHECKS_EDIT),
    ),
    duties=(
        Duties(f"{_PARTS}.broken", {Role.DEVELOPER: 30, Role.DEVOPS: 40, Role.ADMIN: 40}),
        Duties(f"{_PARTS}.paused_long", {Role.DEVOPS: 50}),
        Duties(f"{_PARTS}.unmanaged", {Role.DEVOPS: 60}),
        Duties(f"{_PARTS}.below_target", {Role.PRODUCT: 90, Role.STAKEHOLDER: 90}),
    ),
    searches=(Search("Checks", f"{_PARTS}.find", OPERATIONS_VIEW, 20),),
    reports=(Report("checks", "mainstay.observe.checks.status.report", 20),),
    figures=("mainstay.observe.checks.status.figures",),
    cycles={
        "monitor": "mainstay.observe.checks.runtime.watching.Watching",
        "worker": "mainstay.observe.checks.cycles.worker",
    },
    beside=(Beside("/ping/", "mainstay.observe.checks.pings.Intake", TAKES_PINGS),),
)
