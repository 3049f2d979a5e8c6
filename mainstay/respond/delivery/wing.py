"""Delivery: channels, and what was sent through them."""

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, Role, permission
from mainstay.foundation.wing import Duties, Look, Part, Place, Report, Search, SubjectPage, Wing

DELIVERY_EDIT = permission("delivery.edit", "Edit channels and routes, send tests", Role.DEVOPS)

_PARTS = "mainstay.respond.delivery.pages.parts"

WING = Wing(
    app="mainstay.respond.delivery",
    urls="mainstay.respond.delivery.pages.urls",
    routers=("mainstay.respond.delivery.api.router",),
    places=(
        # With the routes that lead there: alerts draw it.
        Place("Channels and routes", "channels", "Respond", 30, "channels", "r", "slack mail webhook notify"),
        Place("Deliveries", "deliveries", "Respond", 35, words="pages outbox sent"),
    ),
    states={
        "queued": Look("queued", "quiet", "○", "waits to be sent"),
        "retrying": Look("retrying", "warn", "△", "was not confirmed and is sent again"),
        "sending": Look("sending", "accent", "◐", "is being sent"),
        "delivered": Look("delivered", "ok", "✓", "the receiver confirmed it"),
        "withdrawn": Look("withdrawn", "quiet", "⊘", "is not sent: given up, its channel gone, or over first"),
        "grouped": Look("grouped", "quiet", "⊞", "is told by a message of a group"),
        "refused": Look("refused", "bad", "✗", "the receiver does not take it"),
    },
    subjects={"channel": SubjectPage("channels", by="#"), "group": SubjectPage("deliveries", by="?")},
    permissions=(DELIVERY_EDIT,),
    resources=("mainstay.respond.delivery.resource.CHANNELS",),
    parts=(Part("now", "live", 20, f"{_PARTS}.late"),),
    duties=(Duties(f"{_PARTS}.failing", {Role.SUPPORT: 20, Role.DEVOPS: 10, Role.ADMIN: 10}),),
    searches=(Search("Channels", f"{_PARTS}.find", OPERATIONS_VIEW, 40),),
    reports=(Report("deliveries", "mainstay.respond.delivery.status.report", 30),),
    figures=("mainstay.respond.delivery.status.figures",),
    cycles={"worker": "mainstay.respond.delivery.cycles.worker"},
)
