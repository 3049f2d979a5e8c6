"""The catalog: applications, what they consist of and what they need."""

from mainstay.foundation.accounts.permissions import STATUS_VIEW, Role, permission
from mainstay.foundation.wing import Action, Duties, Part, Search, SubjectPage, Wing

CATALOG_EDIT = permission("catalog.edit", "Add, edit and remove applications", Role.DEVOPS)

_PARTS = "mainstay.foundation.catalog.pages.parts"

WING = Wing(
    app="mainstay.foundation.catalog",
    urls="mainstay.foundation.catalog.pages.urls",
    routers=("mainstay.foundation.catalog.api.router",),
    actions=(Action("Add application", "application_new", "new service"),),
    subjects={"application": SubjectPage("application", by="name")},
    permissions=(CATALOG_EDIT,),
    resources=("mainstay.foundation.catalog.resource.APPLICATIONS",),
    parts=(
        Part("application", "side", 10, f"{_PARTS}.about", STATUS_VIEW),
        Part("application", "side", 90, f"{_PARTS}.links", STATUS_VIEW),
        Part("application", "buttons", 90, f"{_PARTS}.buttons", CATALOG_EDIT),
        Part("application", "live", 90, f"{_PARTS}.kind", STATUS_VIEW),
    ),
    duties=(Duties(f"{_PARTS}.without_owner", {Role.ADMIN: 60, Role.PRODUCT: 10}),),
    searches=(Search("Applications", f"{_PARTS}.find", STATUS_VIEW, 10),),
)
