"""Adding, editing and removing applications. How they fare: `observe/checks/pages/applications.py`."""

from django.http import HttpRequest

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.pages.forms import ApplicationForm
from mainstay.foundation.catalog.resource import APPLICATIONS
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.kit.editing import Editing
from mainstay.kit.replies import posted


class ApplicationPages(Editing[Application]):
    """Applications with their environments, components and links; their checks go with them."""

    resource, permission, model = APPLICATIONS, CATALOG_EDIT, Application
    place, page, template = "applications", "application", "catalog/edit.html"

    def form_of(self, request: HttpRequest, row: Application | None, **given: str) -> ApplicationForm:
        return ApplicationForm(posted(request), application=row)


APPLICATION = ApplicationPages()
