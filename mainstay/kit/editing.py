"""Pages to add, change and delete what people configure: one small class per resource.

class RoomPages(Editing[Room]):
    resource, permission, model, place = ROOMS, ROOMS_EDIT, Room, "rooms"

ROOM = RoomPages()
urlpatterns = [
    path("rooms/", ROOM.list, name="rooms"),
    path("rooms/new", ROOM.new, name="room_new"),
    path("rooms/<slug:name>/", ROOM.edit, name="room_edit"),
    path("rooms/<slug:name>/delete", ROOM.delete, name="room_delete"),
]
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

from django.contrib import messages
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from pydantic import BaseModel

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, Permission
from mainstay.foundation.refusal import Gone, Refused
from mainstay.foundation.resource import UNREADABLE, By, Resource, version_of
from mainstay.foundation.words.explained import sentence
from mainstay.kit.forms import Form, SpecForm
from mainstay.kit.inputs import label_of
from mainstay.kit.lists import export
from mainstay.kit.nav import trail
from mainstay.kit.replies import done, form_page, posted, saved

log = logging.getLogger("mainstay.web")
M = TypeVar("M", bound=Model)


class Editing(Generic[M]):
    """The pages `list`, `new`, `edit` and `delete` of one resource.

    What a subclass must say are the first four values; everything else fits a plain resource.
    """

    resource: ClassVar[Resource[Any]]
    permission: ClassVar[Permission]
    """What changing it needs."""
    viewing: ClassVar[Permission] = OPERATIONS_VIEW
    """What seeing the list needs."""
    model: type[M]
    place: ClassVar[str]
    """The name of the list's address, which is a place of the navigation."""
    kind: ClassVar[str] = ""
    """What templates and names of addresses call a row; the resource's kind unless given."""
    by: ClassVar[str] = "name"
    """The field that tells a row in addresses."""
    page: ClassVar[str] = ""
    """The name of the address of a row's own page. Without one, the list takes its part."""
    template: ClassVar[str] = "edit.html"
    asks: ClassVar[str] = ""
    """A page that asks before something is deleted. Without one, a button of the form's page does."""
    deletes: ClassVar[str] = "delete"
    """How the name of the address ends at which a row is removed."""
    columns: ClassVar[tuple[str, ...]] = ("name",)
    """The fields of the spec that the list shows."""

    def __init__(self) -> None:
        self.called = self.kind or self.resource.kind
        self.list = needs(self.viewing, "GET")(self.show_list)
        self.new = needs(self.permission, "GET", "POST")(self.add)
        self.edit = needs(self.permission, "GET", "POST")(self.change)
        methods = ("GET", "POST") if self.asks else ("POST",)
        self.delete = needs(self.permission, *methods)(self.ask_and_remove)

    # What differs between resources

    def find(self, key: Any) -> M:
        """Return the row that an address names, or raise Http404."""
        return get_object_or_404(self.model, **{self.by: key})

    def form_of(self, request: HttpRequest, row: M | None, **given: str) -> Form:
        """Return the form; `given` is what the address of a new one says."""
        shown, stored = (self.document(row), self.resource.stored(row)) if row is not None else ({}, {})
        return SpecForm(
            posted(request), spec=self.resource.spec, shown=shown, stored=stored, managed=bool(managed_by(row))
        )

    def anew(self, request: HttpRequest, row: M) -> Form | None:
        """Return the form of a row that cannot be read any more; None where there can be none."""
        return self.form_of(request, None)

    def context(self, request: HttpRequest, row: M | None, form: Form) -> Mapping[str, Any]:
        """Return what else the form's page shows."""
        return {}

    def consequences(self, row: M) -> Mapping[str, Any]:
        """Return what the page that asks shows of what would be lost."""
        return {}

    def put(self, form: Any, row: M | None, by: By) -> M:
        """Make the row what the form says.

        Raises:
            NotAllowed, Refused.
        """
        return cast(M, self.resource.save(form.spec, by, row))

    def remove(self, row: M, by: By) -> None:
        """Remove the row.

        Raises:
            NotAllowed, Refused.
        """
        self.resource.delete(row, by)

    def named(self, row: M) -> str:
        """Return what messages call a row."""
        return str(row)

    def said(self, kept: M, *, new: bool) -> str:
        """Return the message after something was saved."""
        return f"{self.named(kept)} was saved."

    def gone(self, row: M) -> str:
        """Return the message after a row was removed."""
        return f"{self.named(row)} was removed."

    def home(self) -> str:
        """Return the address of the list."""
        return reverse(self.place)

    def address(self, row: M) -> str:
        """Return the address of a row's page."""
        return reverse(self.page, args=[getattr(row, self.by)]) if self.page else self.home()

    def back(self, row: M) -> str:
        """Return the address at which a refused removal is said."""
        return self.address(row)

    def steps(self, row: M | None) -> list[tuple[str, str]]:
        """Return the crumbs between the list and the form."""
        return [(self.address(row), str(row))] if row is not None and self.page else []

    # The pages

    def show_list(self, request: HttpRequest) -> HttpResponseBase:
        """List all rows; or export them."""
        rows = [(row, self._readable(row)) for row in self.resource.rows()]
        fields = [info.alias or name for name, info in self.resource.spec.model_fields.items()]
        file = export(request, self.place, {name: _value(name) for name in fields}, [shown for _, shown in rows])
        if file is not None:
            return file
        context = {
            "title": self.resource.title,
            "noun": self.called,
            "about": self.resource.about,
            "heads": [label_of(name) for name in self.columns],
            "rows": [(row, self._link(row), [_text(shown.get(name)) for name in self.columns]) for row, shown in rows],
            "new": reverse(f"{self.called}_new") if actor_of(request).may(self.permission) else "",
            "place": self.place,
        }
        return render(request, "list.html", context)

    def add(self, request: HttpRequest, /, **given: str) -> HttpResponseBase:
        """Add something."""
        return self.answer(request, None, self.form_of(request, None, **given))

    def change(self, request: HttpRequest, /, **key: Any) -> HttpResponseBase:
        """Change a row; one that a file manages is shown, and where to change it."""
        row = self.find(*key.values())
        try:
            form = self.form_of(request, row)
        except UNREADABLE:
            log.exception("the %s %s cannot be shown", self.called, row.pk)
            what = f"What is stored of the {self.called} {self.named(row)} cannot be read; the log says why."
            blank = self.anew(request, row)
            if blank is None:
                return done(request, f"{what} Write it anew by a file or the API.", self.home(), tone="bad")
            messages.error(request, f"{what} What you save here takes its place; you may also remove it.")
            form = blank
        return self.answer(request, row, form)

    def answer(self, request: HttpRequest, row: M | None, form: Form) -> HttpResponse:
        """Save what the form says, or show it."""
        by = By(actor_of(request), clock.now())
        if kept := saved(form, lambda: self.put_as_seen(request, form, row, by), row):
            return done(request, self.said(kept, new=row is None), self.address(kept))
        context = {
            **trail(self.place, *self.steps(row)),
            self.called: row,
            "noun": self.called,
            "row": row,
            "as_shown": self.seen(row),
            "removal": reverse(f"{self.called}_{self.deletes}", args=[getattr(row, self.by)]) if row else "",
            "managed_by": managed_by(row),
            "back": self.address(row) if row is not None else self.home(),
            **self.context(request, row, form),
        }
        return form_page(request, self.template, form, context)

    def put_as_seen(self, request: HttpRequest, form: Form, row: M | None, by: By) -> M:
        """Make the row what the form says, unless it was changed since the form was shown.

        Raises:
            NotAllowed, Refused.
        """
        seen = request.POST.get("seen", "")
        if row is None or not seen:
            return self.put(form, row, by)
        with transaction.atomic():
            now = self.model._base_manager.select_for_update().filter(pk=row.pk).first()
            if now is None or self.seen(now) != seen:
                raise Refused(
                    "This was changed since you opened it, and nothing was saved; look at it in another window, then"
                    " save again to replace what is there",
                    conflict=True,
                )
            return self.put(form, row, by)

    def seen(self, row: M | None) -> str:
        """Return what stands for a row as its form shows it; empty for a new one, and where it cannot be read."""
        try:
            return version_of(self.resource, row) if row is not None else ""
        except UNREADABLE:
            return ""

    def ask_and_remove(self, request: HttpRequest, /, **key: Any) -> HttpResponseBase:
        """Remove a row, after asking where there is a page for that."""
        row, by = self.find(*key.values()), By(actor_of(request), clock.now())
        text = self.gone(row)
        problem = ""
        if request.method == "POST":
            try:
                self.remove(row, by)
            except Gone as gone:  # its own page is gone, too
                return done(request, sentence(gone.detail), self.home(), tone="warn")
            except Refused as refused:
                problem = sentence(refused.detail, refused.field)
                if not self.asks:
                    return done(request, problem, self.back(row), tone="bad")
            else:
                return done(request, text, self.home())
        context = {
            **trail(self.place, *self.steps(row)),
            self.called: row,
            "problem": problem,
            **self.consequences(row),
        }
        return render(request, self.asks, context, status=409 if problem else 200)

    def document(self, row: M) -> dict[str, Any]:
        """Return a row as people see it, secrets masked."""
        shown = self.resource.shown(row)
        return shown.model_dump(mode="json", by_alias=True) if isinstance(shown, BaseModel) else dict(shown)

    def _readable(self, row: M) -> dict[str, Any]:
        """Return a row as people see it; of one that cannot be read, its name: the others are listed as ever."""
        try:
            return self.document(row)
        except UNREADABLE:
            log.exception("the %s %s cannot be shown", self.called, row.pk)
            return {self.columns[0]: str(row)}

    def _link(self, row: M) -> str:
        return reverse(self.page or f"{self.called}_edit", args=[getattr(row, self.by)])


def managed_by(row: Any) -> str:
    """Return the file that manages a row; "" when none does."""
    return str(getattr(row, "managed_by", "") or "")


def _value(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda shown: shown.get(name)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
