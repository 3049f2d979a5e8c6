"""What of the Prometheus API our own records answer."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpRequest

OWN: dict[str, Callable[[HttpRequest, datetime], Any]] = {}
"""Its paths, each with what gives their `data`; higher wings add theirs."""
