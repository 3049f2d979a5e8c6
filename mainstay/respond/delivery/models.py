"""Channels, the outbox, and each attempt at sending."""

from django.db import models
from django.db.models import Q


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

    status: queued → sending → delivered; sending → queued after a failed or unknown attempt, as long as it takes;
    queued → withdrawn only when its channel is removed. Messages of one thread and channel go out in order of id.
    """

    channel = models.ForeignKey(Channel, on_delete=models.SET_NULL, null=True, related_name="deliveries")
    channel_name = models.CharField(max_length=100)
    event = models.CharField(max_length=12)
    thread = models.CharField(max_length=100)  # dedup key: the same for all messages of one alert
    key = models.CharField(max_length=120, unique=True)  # idempotency key: stable over all attempts
    message = models.TextField()  # as `Message.to_json` writes it
    subject = models.CharField(max_length=80)  # "alert:12", for permalinks
    subject_name = models.CharField(max_length=300)
    application = models.BigIntegerField(null=True)
    fallback = models.JSONField(default=list)  # names of the channels to try when this one does not answer
    fallback_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="fallbacks")
    status = models.CharField(max_length=12, default="queued")
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    claimed_by = models.BigIntegerField(null=True)  # id of the worker process
    claimed_until = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    answer = models.TextField(blank=True)  # the receiver's last

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=Q(status="queued")),
            models.Index(fields=["claimed_until"], name="delivery_claimed", condition=Q(status="sending")),
            models.Index(fields=["thread", "channel", "id"], name="delivery_by_thread"),
            # What waits, for pages and counts: `status IN (…)` cannot use the two partial ones above.
            models.Index(fields=["status", "channel", "id"], name="delivery_by_status"),
            models.Index(fields=["subject", "id"], name="delivery_by_subject"),
            models.Index(fields=["channel", "id"], name="delivery_by_channel"),
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
    state = models.JSONField(default=dict)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "thread"], name="thread_once")]
