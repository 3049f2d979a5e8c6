"""The API of channels and deliveries."""

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Body, Path, Query, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.body import Described, Document, read, with_stored_secrets
from mainstay.foundation.api.lookup import find
from mainstay.foundation.api.pagination import Page, page
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.api.types import Id, Paging, Search, Seconds
from mainstay.foundation.clock import now
from mainstay.foundation.words import ID_MOST, Name
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.models import Attempt, Channel, Delivery
from mainstay.respond.delivery.sending.groups import write_message
from mainstay.respond.delivery.spec import ChannelSpec
from mainstay.respond.delivery.wing import DELIVERY_EDIT

router = Router()
ChannelName = Annotated[Name, Path(description="The channel's name.", examples=["ops"])]
Status = Literal["queued", "sending", "delivered", "grouped", "withdrawn"]


# --- channels -----------------------------------------------------------------------------------------------------


class ChannelRow(BaseModel):
    """A way to reach people or programs."""

    id: int
    name: str
    kind: str = Field(examples=["webhook"])
    target: str = Field(description="Where it sends to; holds no secret.")
    paused: bool = Field(description="Messages wait until it is resumed.")
    managed_by: str = Field(description="The configuration file that describes it, or empty.")
    created_at: datetime


class ChannelDetail(ChannelRow):
    """A channel and the document that describes it."""

    spec: dict[str, Any] = Field(
        description="The channel as people write it; PUT takes the same. Secrets are masked, and a mask that is sent"
        " back keeps the secret."
    )


class ChannelFilter(Paging):
    """Which channels."""

    kind: Search = Field(default="", description="slack, email, webhook, …")
    paused: bool | None = None


def _channel(row: Channel) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ChannelRow.model_fields}


def _detail(row: Channel) -> dict[str, Any]:
    return _channel(row) | {"spec": actions.shown_spec(row)}


def _named(name: str) -> Channel:
    return find(Channel.objects.all(), "channel", name=name)


@router.get("/channels", auth=needs(OPERATIONS_VIEW), response=Page[ChannelRow])
def list_channels(request: HttpRequest, given: Query[ChannelFilter]) -> dict[str, Any]:
    """List channels."""
    rows = Channel.objects.all()
    if given.kind:
        rows = rows.filter(kind=given.kind)
    if given.paused is not None:
        rows = rows.filter(paused=given.paused)
    return page(rows, _channel, cursor=given.cursor, limit=given.limit)


@router.post("/channels", auth=needs(DELIVERY_EDIT), response={201: ChannelDetail})
def create_channel(
    request: HttpRequest, response: HttpResponse, body: Body[Annotated[Document, Described(ChannelSpec)]]
) -> dict[str, Any]:
    """Create a channel. Its secrets are encrypted and never shown again."""
    row = actions.put_channel(read(ChannelSpec, body), actor_of(request), now())
    response["Location"] = f"/api/v1/channels/{row.name}"
    return _detail(row)


@router.get("/channels/{name}", auth=needs(OPERATIONS_VIEW), response=ChannelDetail)
def get_channel(request: HttpRequest, name: ChannelName) -> dict[str, Any]:
    """Show a channel."""
    return _detail(_named(name))


@router.put("/channels/{name}", auth=needs(DELIVERY_EDIT), response=ChannelDetail)
def replace_channel(
    request: HttpRequest, name: ChannelName, body: Body[Annotated[Document, Described(ChannelSpec)]]
) -> dict[str, Any]:
    """Make a channel what the body says; what waits for it is sent at once.

    A mask (`********`) keeps the secret that is stored at its place. The name cannot change, since routes use it.
    """
    row = _named(name)
    spec = read(ChannelSpec, with_stored_secrets(body, row.kind, row.config, settings.SECRET_KEY))
    return _detail(actions.put_channel(spec, actor_of(request), now(), existing=row))


@router.delete("/channels/{name}", auth=needs(DELIVERY_EDIT), response={204: None})
def remove_channel(request: HttpRequest, name: ChannelName) -> None:
    """Remove a channel. What still waits for it is withdrawn, and the journal says so for each message."""
    actions.remove_channel(_named(name), actor_of(request), now())


# --- deliveries ---------------------------------------------------------------------------------------------------


class DeliveryRow(BaseModel):
    """One message owed to one channel."""

    id: int
    channel: str
    receiver: str = Field(
        description="What the route named: the channel itself, or whom the channel was resolved from when it was owed."
    )
    event: str = Field(
        description="Of an alert: trigger, remind, update, acknowledge, resolve or test. Of anything else what kind of"
        " message it is.",
        examples=["trigger"],
    )
    status: Status
    alert: int | None = Field(description="Id of the alert that it tells of; null for anything else.")
    subject: str = Field(examples=["alert:12"])
    subject_name: str
    created_at: datetime
    due_at: datetime = Field(description="When it is tried (again), while it is queued.")
    delivered_at: datetime | None
    attempts: int
    answer: str = Field(description="What the receiver said last.")
    fallback_of: int | None = Field(description="The delivery to another channel that did not get through.")
    group: int | None = Field(
        description="The group that tells it together with others, or, of subject `group:…`, whose message it is."
    )


class AttemptRow(BaseModel):
    """One try at sending."""

    at: datetime
    duration_s: Seconds
    outcome: str = Field(description="delivered, retry, refused or unknown.", examples=["delivered"])
    answer: str


class DeliveryDetail(DeliveryRow):
    """A delivery, its message and the attempts at sending it."""

    message: dict[str, Any]
    tries: list[AttemptRow]


class DeliveryFilter(Paging):
    """Which deliveries."""

    status: Literal["queued", "sending", "delivered", "grouped", "withdrawn", "waiting"] | None = Field(
        default=None, description="`waiting`: queued or sending."
    )
    channel: Search = Field(default="", description="Name of a channel.")
    alert: int | None = Field(default=None, ge=1, le=ID_MOST, description="Id of an alert.")
    group: int | None = Field(
        default=None, ge=1, le=ID_MOST, description="Id of a group: its messages, and those that it tells."
    )


def _delivery(row: Delivery) -> dict[str, Any]:
    kind, _, number = row.subject.partition(":")
    return {
        "id": row.pk,
        "channel": row.channel_name,
        "receiver": row.receiver or row.channel_name,
        "event": row.event,
        "status": row.status,
        "alert": int(number) if kind == "alert" else None,
        "subject": row.subject,
        "subject_name": row.subject_name,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "delivered_at": row.delivered_at,
        "attempts": row.attempts,
        "answer": row.answer,
        "fallback_of": row.fallback_of_id,
        "group": row.group_id,
    }


@router.post("/channels/{name}/test", auth=needs(DELIVERY_EDIT), response={201: DeliveryRow})
def test_channel(request: HttpRequest, response: HttpResponse, name: ChannelName) -> dict[str, Any]:
    """Owe a test message to a channel. It takes the same way as a page; follow the delivery that is returned."""
    row = actions.send_test(_named(name), actor_of(request), now())
    response["Location"] = f"/api/v1/deliveries/{row.pk}"
    return _delivery(row)


@router.get("/deliveries", auth=needs(OPERATIONS_VIEW), response=Page[DeliveryRow])
def list_deliveries(request: HttpRequest, given: Query[DeliveryFilter]) -> dict[str, Any]:
    """List deliveries, the newest first."""
    rows = Delivery.objects.defer("message")
    if given.status == "waiting":
        rows = rows.filter(status__in=("queued", "sending"))
    elif given.status is not None:
        rows = rows.filter(status=given.status)
    if given.channel:
        rows = rows.filter(channel_name=given.channel)
        known = Channel.objects.filter(name=given.channel).values_list("pk", flat=True).first()
        if known is not None:
            rows = rows.filter(channel=known)  # served by an index, which a name is not
    if given.alert is not None:
        rows = rows.filter(subject=f"alert:{given.alert}")
    if given.group is not None:
        rows = rows.filter(group=given.group)
    return page(rows, _delivery, cursor=given.cursor, limit=given.limit, newest_first=True)


@router.get("/deliveries/{delivery_id}", auth=needs(OPERATIONS_VIEW), response=DeliveryDetail)
def get_delivery(request: HttpRequest, delivery_id: Id) -> dict[str, Any]:
    """Show a delivery, its message and every attempt."""
    row = find(Delivery.objects.all(), "delivery", pk=delivery_id)
    tries = Attempt.objects.filter(delivery=row).order_by("pk")
    return _delivery(row) | {
        "message": _message(write_message(row).to_json() if row.of_group and not row.tried_at else row.message),
        "tries": [{name: getattr(one, name) for name in AttemptRow.model_fields} for one in tries],
    }


def _message(stored: Any) -> dict[str, Any]:
    """Return a message as it is stored, without asking whether this version could send it."""
    try:
        found = orjson.loads(stored) if isinstance(stored, str) else stored
    except orjson.JSONDecodeError:
        found = stored
    return found if isinstance(found, dict) else {"text": str(found)}


@router.post("/deliveries/{delivery_id}/retry", auth=needs(ALERTS_RESPOND), response=DeliveryRow)
def retry_delivery(request: HttpRequest, delivery_id: Id) -> dict[str, Any]:
    """Try a waiting delivery at once instead of when it is due."""
    row = find(Delivery.objects.all(), "delivery", pk=delivery_id)
    if not actions.retry_now(row, actor_of(request), now()):
        row.refresh_from_db()
        raise Problem(409, f"Nothing waits: delivery {row.pk} is {row.status}.")
    row.refresh_from_db()
    return _delivery(row)
