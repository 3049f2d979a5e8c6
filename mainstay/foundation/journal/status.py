"""How the journal is, for /metrics."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from mainstay.foundation.journal.models import Entry


def figures(_now: datetime) -> Iterator[Metric]:
    """Yield how far the seals are behind."""
    unsealed = Entry.objects.filter(seal=None).count()
    yield GaugeMetricFamily(
        "mainstay_journal_entries_unsealed", "Facts that the hash chain does not cover yet.", value=unsealed
    )
