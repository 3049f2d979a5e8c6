"""The desk's own pages: what composes all wings."""

from mainstay.foundation.accounts.permissions import SETTINGS_VIEW, STATUS_VIEW
from mainstay.foundation.wing import Command, Part, Place, Wing

WING = Wing(
    app="mainstay.desk",
    places=(
        Place("Now", "now", "first", 10, "now", "n", "home start wrong", bottom=True),
        Place("Applications", "applications", "first", 20, "applications", "p", "services uptime", bottom=True),
        Place("Settings", "settings", "below", 20, "settings", "s", "configuration environment"),
    ),
    permissions=(SETTINGS_VIEW,),
    parts=(
        Part("now", "live", 10, "mainstay.desk.parts.itself"),
        Part("now", "side", 10, "mainstay.desk.parts.yours", STATUS_VIEW),
    ),
    commands={"status": Command("mainstay.desk.status", "tell what is wrong now")},
)
