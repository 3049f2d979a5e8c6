"""Alerts: what pages people, and silences."""

from mainstay.foundation.accounts.permissions import ALERTS_RESPOND
from mainstay.foundation.wing import Look, Place, SubjectPage, Wing

WING = Wing(
    app="mainstay.respond.alerts",
    urls="mainstay.respond.alerts.pages.urls",
    routers=("mainstay.respond.alerts.api.router",),
    places=(
        Place("Alerts", "alerts", "Respond", 10, "alerts", "a", "incidents firing", bottom=True),
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
)
