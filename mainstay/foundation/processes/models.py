"""The processes of Mainstay and the revision counters by which they notice each other's changes."""

from django.db import connection, models

from mainstay.foundation import store
from mainstay.foundation.columns import NamesField, ObjectField


class Process(models.Model):
    """One running process; its beat tells that its cycles run, and how late they are."""

    role = models.CharField(max_length=20)  # web, monitor, worker
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    boot = models.CharField(max_length=64)  # start of this pid, so that a reused pid is not taken for it
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(db_index=True)
    lag_s = models.FloatField(default=0)  # how late the slowest cycle is
    detail = ObjectField(default=dict)


class Revision(models.Model):
    """Counts changes of a kind of configuration; loops compare it instead of reading everything again."""

    name = models.CharField(max_length=40, primary_key=True)
    number = models.BigIntegerField(default=0)

    @staticmethod
    def bump(name: str) -> None:
        """Count one change, in the transaction of the change; one statement, since a large file makes thousands."""
        table = Revision._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (name, number) VALUES (%s, 1)"  # noqa: S608  # our own table
                f" ON CONFLICT (name) DO UPDATE SET number = {table}.number + 1",
                [name],
            )

    @staticmethod
    def current(name: str) -> int:
        """Return the present count, 0 before the first change."""
        return int(max(store.firsts("SELECT number FROM processes_revision WHERE name = %s", name), default=0))


class Canary(models.Model):
    """One row: a known word, sealed with the key that belongs to this database (`canary.py`)."""

    sealed = models.TextField()


class Suspect(models.Model):
    """An item that was in flight when its process crashed, and perhaps is set aside for that (`setaside.py`)."""

    kind = models.CharField(max_length=20)
    item = models.CharField(max_length=44)
    version = models.CharField(max_length=64)  # an edit makes another one, which is not suspected
    deaths = NamesField(default=list)  # the last three within an hour, as ISO times
    suspected_at = models.DateTimeField()
    set_aside_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "item"], name="suspect_once")]
