"""The catalog: applications, what they consist of and what they need."""

from mainstay.foundation.accounts.permissions import Role, permission
from mainstay.foundation.wing import Action, SubjectPage, Wing

CATALOG_EDIT = permission("catalog.edit", "Add, edit and remove applications", Role.DEVOPS)

WING = Wing(
    app="mainstay.foundation.catalog",
    urls="mainstay.foundation.catalog.pages.urls",
    routers=("mainstay.foundation.catalog.api.router",),
    actions=(Action("Add an application", "application_new", "new service"),),
    subjects={"application": SubjectPage("application", by="name")},
    permissions=(CATALOG_EDIT,),
    resources=("mainstay.foundation.catalog.resource.APPLICATIONS",),
)
