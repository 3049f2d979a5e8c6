"""List, create, show, replace and remove: the operations of one kind of thing, from one description.

CHANNELS = Collection(router=router, resource=resource.CHANNELS, rows=Channel.objects.all, row=ChannelRow, …)
CHANNELS.serve()

@CHANNELS.act()
def pause_channel(row: Channel, by: By) -> None: ...
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from inspect import Parameter, Signature
from typing import Annotated, Any, Generic, Literal, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.params import functions
from pydantic import BaseModel

from mainstay.foundation.accounts.permissions import Permission
from mainstay.foundation.api import preconditions
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.body import Described, Document, read
from mainstay.foundation.api.pagination import Page, page, page_by_position, why_unreadable
from mainstay.foundation.api.problems import Problem, not_found
from mainstay.foundation.api.types import Id, Paging
from mainstay.foundation.clock import now
from mainstay.foundation.resource import UNREADABLE, By, Resource, version_of
from mainstay.foundation.secrets import keep_masked

log = logging.getLogger("mainstay.api")
M = TypeVar("M", bound=Model)
B = TypeVar("B", bound=BaseModel)
Verb = Literal["list", "create", "get", "replace", "remove"]
Act = Callable[[M, By], None]
_KIND = Parameter.POSITIONAL_OR_KEYWORD


def columns(row: object, model: type[BaseModel], **instead: Any) -> dict[str, Any]:
    """Return the fields of `model` as `row` has them (other rows by their `name`), with `instead` in place of some."""

    def shown(value: Any) -> Any:
        return getattr(value, "name", None) if isinstance(value, Model) else value

    return {name: shown(getattr(row, name)) for name in model.model_fields if name not in instead} | instead


def spec_in(document: Document, spec: type[B], resource: Resource[Any], row: Any | None) -> B:
    """Return `document` as a spec; a mask in it keeps the secret that `row` stores at its place.

    Raises:
        Problem: 422.
    """
    if row is not None:
        document = keep_masked(resource.in_own_words(document), resource.stored(row), settings.SECRET_KEY)
    return read(spec, document)


@dataclass(kw_only=True)
class Collection(Generic[M]):
    """Things of one kind at one address.

    Attributes:
        resource: what saves and deletes it, and tells what of it is secret.
        path: the address, by which the list is named, too; without it the resource's section: "channels".
        one: the name of one, by which the other operations are named; without it the resource's kind: "channel".
        called: what errors call it, when that is not `one`.
        named: the type of its name in the address; without it things are addressed by id.
        view, edit: the permissions to read, and to create, replace and remove.
        texts: what each operation says of itself in the OpenAPI document. An operation without a text is not served.
        names: operations that are named otherwise.
        rows: returns all rows, with what `show` needs; without it the resource's.
        row, show: how a list shows one; without `show` it has the columns of `row`.
        detail, more: the further fields where one is shown alone; without `more` that is its `spec`.
        filters, narrow: parameters of the list, and the column, or the condition, that each of them stands for.
        newest_first: the order of the list, unless the resource is ordered.
        body, new: what is sent to replace (and create), and to create, when it is not the resource's spec.
        save: what makes of a body a new row, or makes an existing row what the body says, in place of the resource.
    """

    router: Router
    resource: Resource[Any] | None = None
    path: str = ""
    one: str = ""
    called: str = ""
    named: Any = None
    view: Permission
    edit: Permission
    texts: Mapping[Verb, str]
    names: Mapping[Verb, str] = field(default_factory=dict)
    rows: Callable[[], QuerySet[M]] | None = None
    row: type[BaseModel]
    show: Callable[[M, datetime], dict[str, Any]] | None = None
    detail: type[BaseModel] | None = None
    more: Callable[[M], dict[str, Any]] | None = None
    filters: type[Paging] = Paging
    narrow: Mapping[str, str | Callable[[Any], Q]] = field(default_factory=dict)
    newest_first: bool = False
    body: type[BaseModel] | None = None
    new: type[BaseModel] | None = None
    save: Callable[[Any, By, M | None], M] | None = None

    def __post_init__(self) -> None:
        """Name what the resource names."""
        self.path, self.one = self.path or self._resource.section, self.one or self._resource.kind
        self._by, self._key = ("name", "name") if self.named is not None else ("pk", f"{self.one}_id")

    def serve(self, *verbs: Verb) -> None:
        """Add the operations of `verbs`, or all that have a text, to the router."""
        item, whole = f"/{{{self._key}}}", self.detail or self.row
        response = Parameter("response", _KIND, annotation=HttpResponse)
        for verb in verbs or self.texts:
            told = self.names.get(verb, f"{verb}_{self.path if verb == 'list' else self.one}"), self.texts[verb]
            match verb:
                case "list":
                    given = Parameter("given", _KIND, annotation=self.filters, default=functions.Query(...))
                    pages = Page.__class_getitem__(self.row)
                    self._add("GET", "", told, self.view, {200: pages}, self._list, given)
                case "create":
                    self._add("POST", "", told, self.edit, {201: whole}, self._create, response, self._body(self.new))
                case "get":
                    self._add("GET", item, told, self.view, {200: whole}, self._get, response)
                case "replace":
                    self._add("PUT", item, told, self.edit, {200: whole}, self._replace, response, self._body())
                case "remove":
                    self._add("DELETE", item, told, self.edit, {204: None}, self._remove)

    def act(self, permission: Permission | None = None, *, brief: bool = False) -> Callable[[Act[M]], Act[M]]:
        """Add what can be done with one thing: POST to the first word of the function's name, answered with the thing.

        Args:
            permission: `edit` without it.
            brief: it answers with what a list shows.
        """

        def add(do: Act[M]) -> Act[M]:
            def answer(request: HttpRequest, key: object) -> dict[str, Any]:
                by = By(actor_of(request), now())
                with self._as_seen(request, key):
                    do(self.find(key), by)
                    return self.brief(self.find(key), by.at) if brief else self._tell(key, by.at)

            address = f"/{{{self._key}}}/{do.__name__.partition('_')[0]}"
            shown = self.row if brief else self.detail or self.row
            self._add("POST", address, (do.__name__, do.__doc__ or ""), permission or self.edit, {200: shown}, answer)
            return do

        return add

    def find(self, key: object, *, whole: bool = False) -> M:
        """Return the row that an address names; its parts are read along for the `whole` only, and not to be changed.

        Raises:
            Problem: 404.
        """
        rows = self._rows() if whole else self._rows().prefetch_related(None)
        row = rows.filter(**{self._by: key}).first()
        if row is None:
            raise not_found(self.called or self.one, key)
        return row

    def brief(self, row: M, at: datetime) -> dict[str, Any]:
        """Return a row as a list shows it."""
        return self.show(row, at) if self.show is not None else columns(row, self.row)

    def _tell(self, key: object, at: datetime) -> dict[str, Any]:
        row = self.find(key, whole=True)
        try:
            found = self.brief(row, at)
            if self.detail is not None:
                found |= self.more(row) if self.more else {"spec": self._resource.shown(row)}
            (self.detail or self.row).model_validate(found)  # by ninja again, to whom it would be a defect
            return found
        except UNREADABLE as error:
            log.exception("the %s %s cannot be shown", self.called or self.one, key)
            what = f"What is stored of the {self.called or self.one} {key} cannot be read"
            raise Problem(409, f"{what}: {why_unreadable(error)}. Write it anew, or remove it.") from None

    def _list(self, request: HttpRequest, given: Paging) -> dict[str, Any]:
        at, rows = now(), self._rows()
        for name, how in self.narrow.items():
            if (value := getattr(given, name)) not in (None, ""):
                rows = rows.filter(Q(**{how: value}) if isinstance(how, str) else how(value))
        turn = page_by_position if self.resource and self.resource.ordered else page
        newest = {"newest_first": True} if self.newest_first else {}
        return turn(rows, lambda row: self.brief(row, at), cursor=given.cursor, limit=given.limit, **newest)

    def _create(self, request: HttpRequest, response: HttpResponse, body: Any) -> dict[str, Any]:
        by = By(actor_of(request), now())
        with transaction.atomic():  # nobody removes it before it is shown
            key = getattr(self._saved(body, by, None), self._by)
            response["Location"] = f"/api/v1/{self.path}/{key}"
            return self._tagged(key, by.at, response)

    def _get(self, request: HttpRequest, key: object, response: HttpResponse) -> dict[str, Any]:
        return self._tagged(key, now(), response)

    def _replace(self, request: HttpRequest, key: object, response: HttpResponse, body: Any) -> dict[str, Any]:
        by = By(actor_of(request), now())
        with self._as_seen(request, key):
            row = self._saved(body, by, self.find(key))
            return self._tagged(getattr(row, self._by), by.at, response)  # it may have another name now

    def _remove(self, request: HttpRequest, key: object) -> None:
        with self._as_seen(request, key):
            self._resource.delete(self.find(key), By(actor_of(request), now()))

    def _tagged(self, key: object, at: datetime, response: HttpResponse) -> dict[str, Any]:
        told = self._tell(key, at)
        if (etag := self._etag(key)) is not None:
            response["ETag"] = etag
        return told

    def _etag(self, key: object) -> str | None:
        """Return the ETag of what an address names; None when it has none, or what is stored cannot be read."""
        if self.resource is None:
            return None
        try:
            return f'"{version_of(self.resource, self.find(key, whole=True))}"'
        except UNREADABLE:
            return None

    @contextmanager
    def _as_seen(self, request: HttpRequest, key: object) -> Iterator[None]:
        """Hold what an address names as the request's preconditions ask for it, while it is changed.

        Raises:
            Problem: 404, 412, 422.
        """
        with transaction.atomic():  # nobody removes it before it is shown
            if not preconditions.asked(request.headers):
                yield
                return
            row = self.find(key)
            type(row)._base_manager.select_for_update().filter(pk=row.pk).first()
            preconditions.need_met(request.headers, self._etag(key))
            yield

    def _saved(self, body: Any, by: By, existing: M | None) -> M:
        if self.save is not None:
            return self.save(body, by, existing)
        spec = spec_in(body, self._resource.spec, self._resource, existing) if self._resource.secrets else body
        saved: M = self._resource.save(spec, by, existing)
        return saved

    def _rows(self) -> QuerySet[M]:
        return self.rows() if self.rows is not None else self._resource.rows()

    @property
    def _resource(self) -> Resource[Any]:
        if self.resource is None:
            raise TypeError(f"{self.path or self.row} needs a resource")
        return self.resource

    def _body(self, model: type[BaseModel] | None = None) -> Parameter:
        """Return a body of this model; one that may hold masks is validated by hand, in `spec_in`."""
        model = model or self.body or self._resource.spec
        if self.resource is None or not self.resource.secrets:
            return Parameter("body", _KIND, annotation=model)
        masked = Annotated[Document, Described(model)]
        return Parameter("body", _KIND, annotation=masked, default=functions.Body(...))

    def _add(
        self,
        method: str,
        address: str,
        told: tuple[str, str],
        permission: Permission,
        response: dict[int, Any],
        answer: Callable[..., Any],
        *takes: Parameter,
    ) -> None:
        """Add an operation that takes the key in its address, if any, and `takes`: ninja reads its signature."""
        key = [Parameter(self._key, _KIND, annotation=self.named or Id)] if address else []

        def view(request: HttpRequest, **given: Any) -> Any:
            return answer(request, *(given.pop(one.name) for one in key), **given)

        view.__name__, view.__doc__ = told
        has_etag = self.resource is not None
        view.conditional = has_etag and bool(address)  # type: ignore[attr-defined]  # read by `door` and `describe`
        view.tagged = has_etag and any(one.name == "response" for one in takes)  # type: ignore[attr-defined]  # as above
        parameters = [Parameter("request", _KIND, annotation=HttpRequest), *key, *takes]
        view.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # read by `inspect`
        self.router.add_api_operation(
            f"/{self.path}{address}", [method], view, auth=needs(permission), response=response
        )
