"""What the API remembers: answers to requests that carried an Idempotency-Key."""

from django.db import models


class IdempotentRequest(models.Model):
    """The answer to the first request with a key; a repeat gets it again, nothing happens twice."""

    actor = models.CharField(max_length=100)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of method, path and body
    status = models.IntegerField(null=True)  # null while the first request runs
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["actor", "key"], name="idempotent_once")]
