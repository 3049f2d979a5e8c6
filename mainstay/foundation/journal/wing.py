"""The journal's pages and its part of the API."""

from mainstay.foundation.wing import Place, Wing

WING = Wing(
    app="mainstay.foundation.journal",
    urls="mainstay.foundation.journal.pages.urls",
    routers=("mainstay.foundation.journal.api.router",),
    places=(Place("Journal", "journal", "last", 10, icon="journal", key="j", words="history audit log"),),
    figures=("mainstay.foundation.journal.status.figures",),
    cycles={"worker": "mainstay.foundation.journal.cycles.worker"},
)
