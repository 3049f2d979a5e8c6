"""The catalog: applications, what they consist of and what they need."""

from mainstay.foundation.wing import Action, SubjectPage, Wing

WING = Wing(
    app="mainstay.foundation.catalog",
    urls="mainstay.foundation.catalog.urls",
    routers=("mainstay.foundation.catalog.api.router",),
    actions=(Action("Add an application", "application_new", "new service"),),
    subjects={"application": SubjectPage("application", by="name")},
)
