"""The journal's pages and its part of the API."""

from mainstay.foundation.wing import Command, Part, Place, Wing

WING = Wing(
    app="mainstay.foundation.journal",
    urls="mainstay.foundation.journal.pages.urls",
    routers=("mainstay.foundation.journal.api.router",),
    places=(Place("Journal", "journal", "last", 10, icon="journal", key="j", words="history audit log"),),
    parts=(
        Part("now", "side", 90, "mainstay.foundation.journal.pages.parts.now"),
        Part("application", "recent", 10, "mainstay.foundation.journal.pages.parts.of_application"),
    ),
    figures=("mainstay.foundation.journal.status.figures",),
    cycles={"worker": "mainstay.foundation.journal.cycles.worker"},
    commands={
        "journal": Command("mainstay.foundation.journal.command", "verify, show and export the journal"),
    },
)
