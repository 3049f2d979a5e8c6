"""The journal's two tables: facts, and the seals that chain them.

Both are append-only: triggers (`triggers.py`) refuse UPDATE and DELETE, save for the one step that seals an entry.
"""

from django.db import models

from mainstay.foundation.clock import now
from mainstay.foundation.journal.stored import FactsField, MarkField


class Seal(models.Model):
    """A batch of entries, chained to the batch before it by SHA-256.

    `leaves` holds 40 bytes per entry, in order of id: the id (8 bytes, big-endian) and the SHA-256 of the entry.
    `digest` is the SHA-256 of the digest before it, the number, the time and the leaves; `mac` is a MAC of the same:
    nobody without the key can make a seal. Numbers have no gaps. `previous` is unique: no two sealers fork the chain.
    """

    previous = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="following")
    is_first = models.BooleanField(null=True, unique=True)  # true for one row only: NULLs are not compared
    sealed_at = models.DateTimeField()
    leaves = models.BinaryField()
    digest = models.BinaryField(max_length=32)
    mac = models.BinaryField(max_length=32, null=True)


class Entry(models.Model):
    """One fact: what happened, to what, when, by whom."""

    at = models.DateTimeField(default=now)
    kind = models.CharField(max_length=60)
    subject = models.CharField(max_length=80)  # "check:12"
    subject_name = models.CharField(max_length=300)  # as it was called then
    application = models.BigIntegerField(null=True)  # no foreign key: facts outlive what they are about
    actor = models.CharField(max_length=100)
    actor_name = models.CharField(max_length=200)
    facts = FactsField(default=dict)
    mark = MarkField(max_length=40, null=True)  # of whoever wrote it with the key: a nonce and a MAC
    seal = models.ForeignKey(Seal, on_delete=models.PROTECT, null=True, related_name="entries", db_index=False)

    class Meta:
        indexes = [
            models.Index(fields=["subject", "id"], name="entry_subject"),
            models.Index(fields=["application", "id"], name="entry_application"),
            models.Index(fields=["kind", "id"], name="entry_kind"),
            models.Index(fields=["at"], name="entry_at"),
            models.Index(fields=["id"], condition=models.Q(seal__isnull=True), name="entry_unsealed"),
            models.Index(fields=["seal"], name="entry_seal"),
        ]

    def sentence(self) -> str:
        """Return the fact as one English sentence."""
        from mainstay.foundation.journal.kinds import sentence

        return sentence(self.kind, self.subject_name, self.facts)
