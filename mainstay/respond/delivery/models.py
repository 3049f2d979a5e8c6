"""Channels, the outbox, and each attempt at sending."""

from django.db import models
from django.db.models import Q

from mainstay.foundation.columns import NamesField, PairsField


class Channel(models.Model):
    """A way to reach people or programs: a Slack channel, a mailbox, a webhook."""

    name = models.SlugField(max_length=100, unique=True)
    kind = models.CharField(max_length=30)
    config = models.JSONField(default=dict)  # the kind's settings; secrets sealed
    target = models.CharField(max_length=500, blank=True)  # for people; holds no secret
    paused = models.BooleanField(default=False)
    managed_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One message owed to one channel: the outbox. Committed with the change that owes it.

    status: queued → sending → delivered; sending → queued after a failed or unknown attempt, as long as it takes.
    queued → grouped: a group tells it. queued → withdrawn: its channel was removed, or what it tells of was over before
    it was ever tried, and a group says so. What was tried once is never grouped or withdrawn for that; a person
    may withdraw whatever waits. sending → failed: a test, which is tried once.
    The most urgent goes first; messages of one thread and channel go out in order of id.
    """

    channel = models.ForeignKey(Channel, on_delete=models.SET_NULL, null=True, related_name="deliveries")
    channel_name = models.CharField(max_length=100)
    # What the channel was resolved from when this was owed ("schedule:primary"); of a channel itself its name. Empty:
    # owed before it was kept.
    receiver = models.CharField(max_length=200, blank=True, default="", db_default="")
    event = models.CharField(max_length=12)  # of an alert; else the kind of message
    thread = models.CharField(max_length=100)  # the same for all messages about one thing
    key = models.CharField(max_length=120, unique=True)  # idempotency key: stable over all attempts
    message = models.TextField()  # as `Message.to_json` writes it
    subject = models.CharField(max_length=80)  # "alert:12", for permalinks
    subject_name = models.CharField(max_length=300)
    application = models.BigIntegerField(null=True)
    fallback = NamesField(default=list)  # receivers to try when this channel does not answer
    fallback_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="fallbacks")
    status = models.CharField(max_length=12, default="queued")
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    urgency = models.PositiveSmallIntegerField(default=25, db_default=25)  # `outbox.urgency`: the smaller, the sooner
    tried_at = models.DateTimeField(null=True)  # first claimed: from then on the receiver may have it
    # The group that tells it, or (subject "group:…") whose message it is.
    group = models.ForeignKey("Group", on_delete=models.SET_NULL, null=True, related_name="deliveries", db_index=False)
    attempts = models.PositiveIntegerField(default=0)
    claimed_by = models.BigIntegerField(null=True)  # id of the worker process
    claimed_until = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    answer = models.TextField(blank=True)  # the receiver's last

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=Q(status="queued")),
            models.Index(
                fields=["channel", "urgency", "due_at", "id"], name="delivery_next", condition=Q(status="queued")
            ),
            models.Index(
                fields=["channel", "event", "urgency", "id"],
                name="delivery_untried",
                condition=Q(status="queued", tried_at=None),
            ),
            # Pages that went singly of late: what a crowd is counted by.
            models.Index(
                fields=["channel", "tried_at"], name="delivery_tried", condition=Q(event="trigger", group=None)
            ),
            models.Index(fields=["claimed_until"], name="delivery_claimed", condition=Q(status="sending")),
            models.Index(fields=["thread", "channel", "id"], name="delivery_by_thread"),
            # What waits, for pages and counts: `status IN (…)` cannot use the two partial ones above.
            models.Index(fields=["status", "channel", "id"], name="delivery_by_status"),
            models.Index(fields=["subject", "id"], name="delivery_by_subject"),
            models.Index(fields=["channel", "id"], name="delivery_by_channel"),
            models.Index(fields=["group", "id"], name="delivery_by_group", condition=Q(group__isnull=False)),
        ]

    @property
    def via(self) -> str:
        """The receiver that this channel was when it was owed, when that is not the channel itself."""
        return "" if self.receiver == self.channel_name else self.receiver

    @property
    def of_group(self) -> bool:
        """Whether it is a message of a group itself, not one that a group tells."""
        return self.subject.startswith("group:")


class Group(models.Model):
    """Many alerts that one thread of messages to one channel tells of, since more pages waited than people can read.

    It is open while an alert in it is. Its messages are deliveries with the subject "group:<id>".
    """

    channel = models.ForeignKey(Channel, on_delete=models.SET_NULL, null=True, related_name="groups")
    channel_name = models.CharField(max_length=100)
    thread = models.CharField(max_length=100, unique=True)  # dedup key of its messages
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    messages = models.PositiveIntegerField(default=0)  # written so far …
    told_at = models.DateTimeField(null=True)  # … the last of them
    failing = models.BooleanField(
        default=False
    )  # its message does not get through: the fallbacks of its alerts are due

    class Meta:
        indexes = [models.Index(fields=["channel"], name="delivery_group_open", condition=Q(ended_at=None))]

    def __str__(self) -> str:
        return f"Group {self.pk}"


class GroupMember(models.Model):
    """One alert in a group.

    state: open, acknowledged, over; single when it was paged again and has messages of its own since.
    """

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="members", db_index=False)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, db_index=False, related_name="+")
    thread = models.CharField(max_length=100)  # of the alert's own messages
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="+")  # the page that it stands for
    urgency = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12)
    joined_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    fell_back = models.BooleanField(default=False)  # or has no fallback

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "thread"], name="group_member_once")]
        indexes = [
            models.Index(fields=["thread", "channel"], name="group_member_by_thread"),
            models.Index(fields=["group", "state", "urgency", "id"], name="group_member_by_state"),
        ]


class Attempt(models.Model):
    """One try at sending, and what the receiver said."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField()
    duration_s = models.FloatField()
    outcome = models.CharField(max_length=12)  # delivered, retry, refused, unknown
    answer = models.TextField(blank=True)


class Thread(models.Model):
    """What a channel wants back in later messages of a thread (Slack's message timestamp)."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE)
    thread = models.CharField(max_length=100)
    state = PairsField(default=dict)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "thread"], name="thread_once")]
