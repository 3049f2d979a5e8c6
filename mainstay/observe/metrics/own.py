"""What of the Prometheus API our own records answer."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from mainstay.observe.metrics.serve.text import CONFIG

OWN: dict[str, Callable[[HttpRequest, datetime], Any]] = {"status/config": lambda _request, _now: CONFIG}
"""Its paths, each with what gives their `data` (and may raise BadRequest); higher wings add theirs. The configuration
of the server that METRICS_URL names is not shown."""
