"""The API of channels and deliveries."""

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from ninja import Path, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.body import masked_spec
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.api.types import ManagedBy, Paging, Search, Seconds
from mainstay.foundation.clock import now
from mainstay.foundation.resource import By
from mainstay.foundation.words.names import ID_MOST, Name
from mainstay.respond.delivery import actions, resource
from mainstay.respond.delivery.models import Attempt, Channel, Delivery
from mainstay.respond.delivery.sending.groups import write_message
from mainstay.respond.delivery.wing import DELIVERY_EDIT

router = Router()
ChannelName = Annotated[Name, Path(description="The channel's name.", examples=["ops"])]
Status = Literal["queued", "sending", "delivered", "grouped", "withdrawn", "failed"]


# --- channels -----------------------------------------------------------------------------------------------------


class ChannelRow(BaseModel):
    """A way to reach people or programs."""

    id: int
    name: str
    kind: str = Field(examples=["webhook"])
    target: str = Field(description="Where it sends to; holds no secret.")
    paused: bool = Field(description="Messages wait until it is resumed.")
    managed_by: ManagedBy
    created_at: datetime


class ChannelDetail(ChannelRow):
    """A channel and the document that describes it."""

    spec: dict[str, Any] = masked_spec("channel")


class ChannelFilter(Paging):
    """Which channels."""

    kind: Search = Field(default="", description="slack, email, webhook, …")
    paused: bool | None = None


CHANNELS = Collection[Channel](
    router=router,
    resource=resource.CHANNELS,
    named=ChannelName,
    view=OPERATIONS_VIEW,
    edit=DELIVERY_EDIT,
    row=ChannelRow,
    detail=ChannelDetail,
    filters=ChannelFilter,
    narrow={"kind": "kind", "paused": "paused"},
    texts={
        "list": "List channels.",
        "create": "Create a channel. Its secrets are encrypted and never shown again.",
        "get": "Show a channel.",
        "replace": """Make a channel what the body says; what waits for it is sent at once.

        A mask (`********`) keeps the secret that is stored at its place. The name cannot change, since routes use it.
        """,
        "remove": "Remove a channel. What still waits for it is withdrawn, and the journal says so for each message.",
    },
)
CHANNELS.serve()


# --- deliveries ---------------------------------------------------------------------------------------------------


class DeliveryRow(BaseModel):
    """One message owed to one channel."""

    id: int
    channel: str
    receiver: str = Field(
        description="What the route named: the channel itself, or what the channel was resolved from when it was owed."
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

    status: Literal["queued", "sending", "delivered", "grouped", "withdrawn", "failed", "waiting"] | None = Field(
        default=None, description="`waiting`: queued or sending."
    )
    channel: Search = Field(default="", description="Name of a channel.")
    alert: int | None = Field(default=None, ge=1, le=ID_MOST, description="Id of an alert.")
    group: int | None = Field(
        default=None, ge=1, le=ID_MOST, description="Id of a group: its messages, and those that it tells."
    )


def _delivery(row: Delivery, at: datetime) -> dict[str, Any]:
    kind, _, number = row.subject.partition(":")
    return columns(
        row,
        DeliveryRow,
        channel=row.channel_name,
        receiver=row.receiver or row.channel_name,
        alert=int(number) if kind == "alert" else None,
        fallback_of=row.fallback_of_id,
        group=row.group_id,
    )


def _message_and_tries(row: Delivery) -> dict[str, Any]:
    message = write_message(row).to_json() if row.of_group and not row.tried_at else row.message
    tries = Attempt.objects.filter(delivery=row).order_by("pk")
    return {"message": _message(message), "tries": [columns(one, AttemptRow) for one in tries]}


def _message(stored: Any) -> dict[str, Any]:
    """Return a message as it is stored, without asking whether this version could send it."""
    try:
        found = orjson.loads(stored) if isinstance(stored, str) else stored
    except orjson.JSONDecodeError:
        found = stored
    return found if isinstance(found, dict) else {"text": str(found)}


def _of_status(status: str) -> Q:
    return Q(status__in=("queued", "sending")) if status == "waiting" else Q(status=status)


def _of_channel(name: str) -> Q:
    known = Channel.objects.filter(name=name).values_list("pk", flat=True).first()
    # The channel itself is served by an index, which a name is not.
    return Q(channel_name=name) if known is None else Q(channel_name=name, channel=known)


DELIVERIES = Collection(
    router=router,
    path="deliveries",
    one="delivery",
    view=OPERATIONS_VIEW,
    edit=ALERTS_RESPOND,
    rows=lambda: Delivery.objects.defer("message"),
    row=DeliveryRow,
    show=_delivery,
    detail=DeliveryDetail,
    more=_message_and_tries,
    filters=DeliveryFilter,
    narrow={
        "status": _of_status,
        "channel": _of_channel,
        "alert": lambda number: Q(subject=f"alert:{number}"),
        "group": "group",
    },
    newest_first=True,
    texts={"list": "List deliveries, the newest first.", "get": "Show a delivery, its message and every attempt."},
)


@router.post("/channels/{name}/test", auth=needs(DELIVERY_EDIT), response={201: DeliveryRow})
def test_channel(request: HttpRequest, response: HttpResponse, name: ChannelName) -> dict[str, Any]:
    """Owe a test message to a channel. It takes the same way as a page; follow the delivery that is returned."""
    at = now()
    row = actions.send_test(CHANNELS.find(name), actor_of(request), at)
    response["Location"] = f"/api/v1/deliveries/{row.pk}"
    return _delivery(row, at)


DELIVERIES.serve()


@DELIVERIES.act(brief=True)
def retry_delivery(row: Delivery, by: By) -> None:
    """Try a waiting delivery at once instead of when it is due."""
    if not actions.retry_now(row, by.actor, by.at):
        row.refresh_from_db()
        raise Problem(409, f"Nothing waits: delivery {row.pk} is {row.status}.")


@DELIVERIES.act(brief=True)
def discard_delivery(row: Delivery, by: By) -> None:
    """Give a waiting delivery up: it is not sent any more, and the journal says so."""
    if not actions.discard(row, by.actor, by.at):
        row.refresh_from_db()
        raise Problem(409, f"Nothing waits: delivery {row.pk} is {row.status}.")
