"""How contracts are, for `mainstay status` and /metrics."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from mainstay.foundation.parts import Finding
from tests.annex.models import Contract


def report(_at: datetime) -> Iterator[Finding]:
    """Yield the contracts that are over."""
    for contract in Contract.objects.filter(over=True).order_by("name"):
        yield Finding(True, contract.name, contract.state, f"of {contract.vendor}", contract.ends_at)


def figures(_now: datetime) -> Iterator[Metric]:
    """Yield how many contracts there are."""
    yield GaugeMetricFamily("mainstay_contracts", "Contracts in force.", Contract.objects.filter(over=False).count())
