"""Groups in the database: gathering what waits for a channel, and writing the messages that tell it.

Each step is one bounded transaction that locks its channel's row, so that two workers do not begin two groups.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Count, Exists, OuterRef, Q

from mainstay.foundation import store
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.words.names import SEVERITIES
from mainstay.respond.delivery import facts
from mainstay.respond.delivery.message import Event, Message
from mainstay.respond.delivery.models import Channel, Delivery, Group, GroupMember
from mainstay.respond.delivery.outbox import severity_of, urgency
from mainstay.respond.delivery.sending.group_message import CARRIED_MOST, Carried, group_message
from mainstay.respond.delivery.sending.grouping import (
    RECENT,
    SINGLY_MOST,
    Fate,
    Verdict,
    Waiting,
    due_at,
    may_join,
    next_message,
    plan,
)
from mainstay.respond.delivery.sending.record import WORKER, fall_back

log = logging.getLogger("mainstay.delivery")
PIECE = 500  # pages, or follow-ups, that one transaction gathers …
PIECES = 4  # … and such transactions in a row for one channel
FALL_BACKS = 25  # alerts of a group that one transaction hands to their fallbacks
LIVE = ("open", "acknowledged")
TRIED = Q(tried_at__isnull=False) | Q(status="delivered")  # what was delivered before `tried_at` was kept has none
TOLD_EVERY, NEVER = timedelta(minutes=1), datetime.min.replace(tzinfo=UTC)
_told_at: dict[int, datetime] = {}  # channel → when the log last said that its pages cannot be grouped


def gather(now: datetime) -> None:
    """Let groups tell what waits in crowds, and what follows pages that groups told.

    A defect here must not keep pages from being sent: then they go singly.
    """
    for channel in _crowded(now) | _followed():
        try:
            for _ in range(PIECES):
                with transaction.atomic():
                    if _gather(channel, now) < PIECE:
                        break
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001  # said now and then
            _say(channel, f"what waits for channel {channel} cannot be grouped", error, now)
    for group in Group.objects.filter(ended_at=None, failing=True, channel__isnull=False):
        try:
            with transaction.atomic():
                _fall_back(group, now)
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001  # said now and then
            _say(-group.pk, f"the alerts of {group} cannot fall back", error, now)


def _say(about: int, what: str, error: Exception, now: datetime) -> None:
    if abs(now - _told_at.get(about, NEVER)) >= TOLD_EVERY:
        _told_at[about] = now
        log.error("%s", what, exc_info=error)


def _crowded(now: datetime) -> set[int]:
    """The channels for which more pages wait untried than are sent singly."""
    sql = (
        "SELECT d.channel_id FROM delivery_delivery d JOIN delivery_channel c ON c.id = d.channel_id"
        " WHERE d.status = 'queued' AND d.tried_at IS NULL AND d.event = 'trigger' AND d.group_id IS NULL"
        " AND NOT c.paused GROUP BY d.channel_id HAVING COUNT(*) + (SELECT COUNT(*) FROM delivery_delivery r"
        " WHERE r.channel_id = d.channel_id AND r.event = 'trigger' AND r.group_id IS NULL"
        " AND r.tried_at > %s AND r.tried_at <= %s) > %s"
    )
    return set(store.firsts(sql, now - RECENT, now + RECENT, SINGLY_MOST))


def _followed() -> set[int]:
    """The channels for which something waits that follows a page that an open group told."""
    if not Group.objects.filter(ended_at=None).exists():
        return set()
    sql = (
        "SELECT DISTINCT d.channel_id FROM delivery_delivery d JOIN delivery_groupmember m"
        " ON m.thread = d.thread AND m.channel_id = d.channel_id AND m.state IN ('open', 'acknowledged')"
        " WHERE d.status = 'queued' AND d.tried_at IS NULL"
    )
    return set(store.firsts(sql))


def _gather(channel: int, now: datetime) -> int:
    """Gather a piece of what waits for a channel; return of how many threads."""
    row = Channel.objects.select_for_update(no_key=True).filter(pk=channel).first()
    if row is None or row.paused:
        return 0
    waiting, members = _waiting(channel)
    joined: dict[int, list[Verdict]] = {}  # group → what it tells from now on; 0: not in one yet
    just_sent = Delivery.objects.filter(channel=channel, event="trigger", group=None)
    recent = just_sent.filter(tried_at__gt=now - RECENT, tried_at__lte=now + RECENT).values_list("urgency", flat=True)
    for verdict in plan(waiting, recent=list(recent[:PIECE])):
        member = members.get(verdict.thread)
        if verdict.fate is not Fate.SINGLY:
            joined.setdefault(member.group_id if member else 0, []).append(verdict)
        elif member is not None and verdict.state == "single":
            joined.setdefault(member.group_id, []).append(verdict)
    new = joined.pop(0, [])
    if new:
        group = _to_join(row, now)
        joined[group.pk] = [*joined.get(group.pk, []), *new]
    events = {waits.id: waits.event for waits in waiting}
    for group in Group.objects.filter(pk__in=joined).order_by("pk"):
        _tell(group, joined[group.pk], events, now)
    return sum(map(len, joined.values()))


def _waiting(channel: int) -> tuple[list[Waiting], dict[str, GroupMember]]:
    """Read the most urgent pages that wait untried and all that waits behind them, and what follows groups' pages."""
    mine = Delivery.objects.filter(channel=channel)
    untried = mine.filter(status="queued", tried_at=None)
    tried = mine.filter(TRIED, thread=OuterRef("thread"))
    pages = untried.filter(~Exists(tried), event="trigger", group=None).order_by("urgency", "id")
    threads = {*pages.values_list("thread", flat=True)[: SINGLY_MOST + PIECE]}
    live = GroupMember.objects.filter(channel=channel, state__in=LIVE)
    follows = untried.filter(Exists(live.filter(thread=OuterRef("thread")))).order_by("id")
    threads |= {*follows.values_list("thread", flat=True)[:PIECE]}
    rows = list(
        untried.select_for_update(no_key=True)
        .filter(thread__in=threads)
        .order_by("id")
        .only("id", "thread", "event", "urgency")
    )
    told = {*mine.filter(TRIED, thread__in=threads).values_list("thread", flat=True)}
    members = {row.thread: row for row in live.filter(thread__in=threads).select_related("group")}
    of_groups = mine.filter(subject__in={f"group:{row.group_id}" for row in members.values()})
    unwritten = of_groups.filter(status="queued", tried_at=None).order_by("id")
    list(unwritten.select_for_update(no_key=True).values_list("pk"))  # nobody writes one before it is known what joins
    telling = {*of_groups.filter(TRIED, status__in=("queued", "sending")).values_list("group", flat=True)}
    return [_as_waiting(row, members.get(row.thread), row.thread in told, telling) for row in rows], members


def _as_waiting(row: Delivery, member: GroupMember | None, told: bool, telling: Collection[int | None]) -> Waiting:
    if member is None:
        return Waiting(row.pk, row.thread, row.event, row.urgency, told=told)
    under_way, failing = member.group_id in telling, member.group.failing
    return Waiting(row.pk, row.thread, row.event, row.urgency, member.state, told, under_way, failing)


def _to_join(channel: Channel, now: datetime) -> Group:
    """Return the group of the channel that pages join now; a new one when there is none."""
    last = Group.objects.filter(channel=channel).order_by("-pk").first()
    # Nothing rings for what is added to an incident that somebody has, or that is over: then a new one is begun.
    open_still = last is not None and (not last.messages or last.members.filter(state="open").exists())
    if last is not None and open_still and may_join(last.created_at, now):
        return last
    group = Group.objects.create(
        channel=channel, channel_name=channel.name, thread=f"new-{uuid.uuid4().hex}", created_at=now
    )
    group.thread = f"mainstay-{settings.INSTANCE}-group-{group.pk}"
    group.save(update_fields=["thread"])
    return group


def _tell(
    group: Group,
    verdicts: Sequence[Verdict],
    events: Mapping[int, str],
    now: datetime,
) -> None:
    """Let a group tell what was gathered: change its members and see that a message is on its way."""
    by_fate: dict[tuple[Fate, str], list[int]] = {}
    for verdict in verdicts:
        if verdict.fate is not Fate.SINGLY:
            by_fate.setdefault((verdict.fate, verdict.why), []).extend(verdict.ids)
    for (fate, why), ids in by_fate.items():
        Delivery.objects.filter(pk__in=ids).update(
            status=fate.value, group=group, answer=f"Sent with {str(group).lower()}: {why}."
        )
    # In whatever state: an alert that left the group may join it again.
    members = {row.thread: row for row in group.members.filter(thread__in=[verdict.thread for verdict in verdicts])}
    added: list[GroupMember] = []
    changed: dict[str, list[int]] = {}
    pages = [verdict.page for verdict in verdicts if verdict.page is not None]
    without_fallback = {*Delivery.objects.filter(pk__in=pages, fallback=[]).values_list("pk", flat=True)}
    for verdict in verdicts:
        member = members.get(verdict.thread)
        if member is None:
            assert verdict.page is not None  # `plan` gathers pages only, and what follows members
            member = GroupMember(
                group=group, channel=group.channel, thread=verdict.thread, delivery_id=verdict.page, joined_at=now
            )
            added.append(member)
        elif verdict.page is None:
            changed.setdefault(verdict.state, []).append(member.pk)
            continue
        if verdict.page is not None:
            member.delivery_id, member.urgency = verdict.page, verdict.urgency
            member.fell_back = verdict.page in without_fallback
        member.state = verdict.state
        member.ended_at = now if verdict.state == "over" else None
        if member.pk:
            member.save()
    GroupMember.objects.bulk_create(added)
    for state, numbers in changed.items():
        GroupMember.objects.filter(pk__in=numbers).update(state=state, ended_at=now if state == "over" else None)
    told = {events[number] for verdict in verdicts for number in verdict.ids if verdict.fate is not Fate.SINGLY}
    added_now = [verdict.urgency for verdict in verdicts if verdict.page and verdict.state == "open"]
    grave = any(severity_of(weight) == SEVERITIES[0] for weight in added_now)
    _see_to_message(group, now, news=bool(added_now) or "remind" in told, grave=grave, reminder="remind" in told)


def _see_to_message(group: Group, now: datetime, *, news: bool, reminder: bool, grave: bool = False) -> None:
    mine = Delivery.objects.filter(subject=f"group:{group.pk}", status="queued", tried_at=None)
    queued = mine.select_for_update(no_key=True).order_by("-pk").first()  # before the group, as whoever claims it does
    group = Group.objects.select_for_update(no_key=True).get(pk=group.pk)
    states = dict(group.members.values_list("state").annotate(Count("pk")))
    live = sum(states.get(state, 0) for state in LIVE)
    group.ended_at = None if live else now
    group.save(update_fields=["ended_at"])
    told = group.messages > 0
    reminder = reminder or (queued is not None and queued.event == Event.REMIND.value)
    event = next_message(live=live, unacknowledged=states.get("open", 0), told=told, reminder=reminder)
    if event == "resolve" and not told and not states.get("over"):
        mine.delete()  # every page in it is sent singly after all
        return
    due = due_at(event, now, group.messages, group.told_at, news=news, grave=grave)
    counted = group.members.filter(state__in=LIVE) if live else group.members.exclude(state="single")
    worst = counted.order_by("urgency").values_list("urgency", flat=True).first()
    severity = SEVERITIES[-1] if worst is None else severity_of(worst)
    weight = urgency(severity, Event(event), group=True)
    if queued is not None:
        due = min(due, queued.due_at)
        mine.filter(pk=queued.pk).update(event=event, urgency=weight, due_at=due, created_at=due)
        return
    Delivery.objects.create(
        channel=group.channel,
        channel_name=group.channel_name,
        event=event,
        thread=group.thread,
        key=uuid.uuid4().hex,
        message="",
        subject=f"group:{group.pk}",
        subject_name=str(group),
        group=group,
        created_at=due,  # from then on it is late
        due_at=due,
        urgency=weight,
    )


def write_message(delivery: Delivery) -> Message:
    """Return what a message of a group that is not tried yet says, with all that the group holds now."""
    group = delivery.group
    assert group is not None
    members = group.members.exclude(state="single")
    counts: Counter[tuple[str, str]] = Counter()
    for state, weight, number in members.values_list("state", "urgency").annotate(Count("pk")):
        counts[state, severity_of(weight)] += number
    shown: list[GroupMember] = []
    for states in (LIVE, ("over",)):  # what lasts first
        rows = members.filter(state__in=states).select_related("delivery").order_by("urgency", "id")
        shown += rows[: CARRIED_MOST - len(shown)]
    carried = [Carried(row.delivery.message, row.state, row.ended_at) for row in shown]
    return group_message(
        Event(delivery.event),
        carried,
        counts,
        channel=group.channel_name,
        url=f"{settings.BASE_URL}/deliveries/?group={group.pk}",
        dedup_key=group.thread,
        first=not group.messages,
        created_at=group.created_at,
    )


def compose(delivery: Delivery, now: datetime) -> str:
    """Write a group's message in the transaction that claims it: from now on it stays as it is. Return it as stored."""
    group = Group.objects.select_for_update(no_key=True).get(deliveries=delivery.pk)
    delivery.group = group
    message = write_message(delivery)
    delivery.message, delivery.subject_name = message.to_json(), message.title[:300]
    Delivery.objects.filter(pk=delivery.pk).update(message=delivery.message, subject_name=delivery.subject_name)
    group.messages, group.told_at = group.messages + 1, now
    group.save(update_fields=["messages", "told_at"])
    write(
        facts.PAGE_GROUPED,
        Subject("group", group.pk, str(group)),
        WORKER,
        now,
        event=delivery.event,
        channel=group.channel_name,
        alerts=message.alert.number if message.alert is not None else 0,
        says=message.title,
        delivery=delivery.pk,
    )
    return delivery.message


def _fall_back(group: Group, now: datetime) -> None:
    """Hand the alerts of a group that does not get through to their fallbacks, some at a time."""
    waiting = group.members.filter(state__in=LIVE, fell_back=False).select_related("delivery")
    rows = list(waiting.select_for_update(of=("self",), no_key=True).order_by("urgency", "id")[:FALL_BACKS])
    # In the order in which everybody locks alerts: who hears of a fallback locks its alert.
    for row in sorted(rows, key=lambda row: int(row.delivery.subject.partition(":")[2])):
        try:
            with transaction.atomic():
                fall_back(row.delivery, now)
                row.delivery.save(update_fields=["fallback"])
        except OperationalError:
            raise
        except Exception:  # a defect met by one alert must not keep the others from falling back
            log.exception("delivery %d cannot fall back", row.delivery_id)
    GroupMember.objects.filter(pk__in=[row.pk for row in rows]).update(fell_back=True)
