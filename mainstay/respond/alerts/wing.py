"""Alerts: what pages people, and silences."""

from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW, Role
from mainstay.foundation.wing import Action, Duties, Look, Part, Place, Report, Search, SubjectPage, Wing

_PARTS = "mainstay.respond.alerts.pages.parts"
_NOW = "mainstay.respond.alerts.pages.now"

WING = Wing(
    app="mainstay.respond.alerts",
    urls="mainstay.respond.alerts.pages.urls",
    routers=("mainstay.respond.alerts.api.router",),
    actions=(
        Action("Create silence", "silence_create", "add new mute"),
        Action("Add route", "route_new", "new notify escalate"),
    ),
    places=(
        Place(
            "Alerts",
            "alerts",
            "Respond",
            10,
            "alerts",
            "a",
            "incidents firing",
            bottom=True,
            count=f"{_NOW}.open_count",
        ),
        Place("Silences", "silences", "Respond", 15, words="mute"),
    ),
    states={
        "firing": Look("firing", "bad", "◉", "the condition holds and nobody has it yet"),
        "acknowledged": Look("acknowledged", "accent", "◐", "someone has it"),
        "silenced": Look("silenced", "quiet", "⊘", "nobody is told until the silence ends"),
        "resolved": Look("resolved", "ok", "✓", "the condition no longer holds"),
    },
    subjects={"alert": SubjectPage("alert", by="id"), "route": SubjectPage("channels", by="#")},
    permissions=(ALERTS_RESPOND,),
    resources=("mainstay.respond.alerts.resource.ROUTES",),
    parts=(
        Part("now", "live", 30, f"{_NOW}.troubles"),
        Part("now", "live", 40, f"{_NOW}.without_alert"),
        Part("application", "live", 10, f"{_NOW}.of_application"),
        Part("check", "live", 10, f"{_NOW}.of_check"),
        Part("group", "links", 10, "mainstay.respond.alerts.pages.channel_views.of_group"),
        Part("channel", "side", 10, "mainstay.respond.alerts.pages.channel_views.leads_here"),
        Part("check", "latest", 10, f"{_NOW}.earlier_of_check"),
    ),
    duties=(
        Duties(
            f"{_PARTS}.unacknowledged",
            {Role.SUPPORT: 10, Role.DEVELOPER: 20, Role.SECURITY: 20},
        ),
        Duties(f"{_PARTS}.of_own_applications", {Role.SUPPORT: 30, Role.DEVELOPER: 10}),
        Duties(f"{_PARTS}.no_way_out", {Role.DEVOPS: 20, Role.ADMIN: 20}),
        Duties(f"{_PARTS}.unpaged", {Role.DEVOPS: 30, Role.ADMIN: 30}),
    ),
    searches=(Search("Open alerts", f"{_PARTS}.find", OPERATIONS_VIEW, 30),),
    reports=(Report("alerts", "mainstay.respond.alerts.status.report", 10),),
    figures=("mainstay.respond.alerts.status.figures",),
    cycles={"worker": "mainstay.respond.alerts.cycles.worker"},
)
