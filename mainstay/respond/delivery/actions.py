"""What people do with channels and deliveries: permission, change and journal entry in one transaction."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND
from mainstay.foundation.held import held
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.refusal import Refused
from mainstay.foundation.resource import differences, read_or_none
from mainstay.foundation.secrets import mask_all, sealed_config, unseal_all
from mainstay.respond.delivery import facts
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.message import ALERT, AlertPart, Event, Message
from mainstay.respond.delivery.models import Channel, Delivery, Group
from mainstay.respond.delivery.outbox import owe
from mainstay.respond.delivery.spec import ChannelSpec, Common
from mainstay.respond.delivery.wing import DELIVERY_EDIT


def subject(channel: Channel) -> Subject:
    """Return the channel as the journal names it."""
    return Subject("channel", channel.pk, channel.name)


@transaction.atomic
def put_channel(
    spec: Common, actor: Actor, at: datetime, *, existing: Channel | None = None, by_file: str = ""
) -> Channel:
    """Create a channel, or make an existing one what `spec` says; return it. What waits for it is sent at once.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(DELIVERY_EDIT)
    row = Channel(created_at=at, name=spec.name)
    if existing is not None:
        row = held(existing, f"The channel {existing.name}", by_file)
        if existing.name != spec.name:
            raise Refused("a channel cannot be renamed: routes name it; add another one instead", "name")
    elif Channel.objects.filter(name=spec.name).exists():
        raise Refused(f"a channel named {spec.name} exists already", "name", conflict=True)
    was = read_or_none(spec_of, row) if existing is not None else None
    row.kind, row.paused, row.managed_by = spec.kind, spec.paused, by_file
    row.config = sealed_config(spec.settings, settings.SECRET_KEY)
    row.target = CHANNELS[spec.kind].describe(spec.settings)[:500]
    row.save()
    if existing is None:
        write(facts.CHANNEL_CREATED, subject(row), actor, at, kind=row.kind, target=row.target)
        return row
    if changed := differences(was, spec):
        write(facts.CHANNEL_EDITED, subject(row), actor, at, fields=changed)
        Delivery.objects.filter(channel=row, status="queued", due_at__gt=at).update(due_at=at)
    return row


@transaction.atomic
def remove_channel(channel: Channel, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """Remove a channel. What still waits for it is withdrawn, and the journal says so for each.

    Raises:
        NotAllowed, Managed.
    """
    actor.need(DELIVERY_EDIT)
    channel = held(channel, f"The channel {channel.name}", by_file)  # nobody gathers its messages meanwhile …
    untold = Group.objects.filter(channel=channel).exclude(deliveries__status="delivered")
    waits = Q(status__in=("queued", "sending")) | Q(status="grouped", group__in=untold)  # its group was to tell it
    mine = Delivery.objects.filter(waits, channel=channel)
    # … (they are locked before its groups and in one order, as whoever claims or records does) …
    list(mine.select_for_update(no_key=True).order_by("id").values_list("pk"))
    Channel.objects.select_for_update().get(pk=channel.pk)  # … and from here on nothing can be owed to it
    Group.objects.filter(channel=channel, ended_at=None).update(ended_at=at)
    for delivery in mine.order_by("id"):
        kind, _, number = delivery.subject.partition(":")
        write(
            facts.PAGE_WITHDRAWN,
            Subject(kind, int(number), delivery.subject_name, delivery.application),
            actor,
            at,
            event=delivery.event,
            channel=channel.name,
            reason="the channel was removed",
            delivery=delivery.pk,
        )
        Delivery.objects.filter(pk=delivery.pk).update(status="withdrawn", answer="the channel was removed")
    write(facts.CHANNEL_REMOVED, subject(channel), actor, at)
    channel.delete()


@transaction.atomic
def send_test(channel: Channel, actor: Actor, at: datetime) -> Delivery:
    """Owe a test message to `channel`; it takes the same way as a page. Return the delivery to follow.

    Raises:
        NotAllowed.
    """
    actor.need(DELIVERY_EDIT)
    test = Message(
        kind=ALERT,
        title="Test message from Mainstay",
        text=f"{actor.name} asked for this message. Pages to the channel {channel.name} will arrive here.",
        urgency="minor",
        thread=f"mainstay-{settings.INSTANCE}-test-{channel.pk}-{at:%Y%m%d%H%M%S%f}",
        at=at,
        reason="A person pressed “Send a test”.",
        alert=AlertPart(
            event=Event.TEST,
            application="",
            environment="",
            labels={"channel": channel.name},
            annotations={},
            url=f"{settings.BASE_URL}/channels/",
            actor=actor.name,
        ),
    )
    return owe(test, [channel.name], subject(channel), at).deliveries[0]


@transaction.atomic
def retry_now(delivery: Delivery, actor: Actor, at: datetime) -> bool:
    """Try a waiting delivery at once; False when nothing waits.

    Raises:
        NotAllowed.
    """
    actor.need(ALERTS_RESPOND)
    return bool(Delivery.objects.filter(pk=delivery.pk, status="queued").update(due_at=at))


@transaction.atomic
def discard(delivery: Delivery, actor: Actor, at: datetime) -> bool:
    """Give a waiting delivery up; False when nothing waits.

    Raises:
        NotAllowed.
    """
    actor.need(ALERTS_RESPOND)
    reason = f"{actor.name} gave it up"
    if not Delivery.objects.filter(pk=delivery.pk, status="queued").update(status="withdrawn", answer=reason):
        return False
    kind, _, number = delivery.subject.partition(":")
    about = Subject(kind, int(number), delivery.subject_name, delivery.application)
    write(
        facts.PAGE_WITHDRAWN,
        about,
        actor,
        at,
        event=delivery.event,
        channel=delivery.channel_name,
        reason="given up by hand",
        delivery=delivery.pk,
    )
    return True


def spec_of(channel: Channel) -> Common:
    """Return the channel as people write it, secrets opened (mask before showing: `shown_spec`)."""
    config = unseal_all(channel.config, settings.SECRET_KEY)
    return ChannelSpec.model_validate({"name": channel.name, channel.kind: config, "paused": channel.paused})


def shown_spec(channel: Channel) -> dict[str, Any]:
    """Return the channel as a document for people and programs: secrets masked, defaults left out."""
    document = {"name": channel.name, channel.kind: mask_all(channel.config)}
    return document | ({"paused": True} if channel.paused else {})
