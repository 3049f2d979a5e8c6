"""Exposition of metrics as text, read without Django or I/O: Prometheus' format 0.0.4 and 1.0.0, and OpenMetrics 1.0.

A `Parser` belongs to one target. The first body tells which series there are (`Layout`); while the following bodies
have the same series, only their numbers are read.
"""

from mainstay.observe.metrics.exposition.layout import (
    NO_TIME,
    Exposition,
    Family,
    Format,
    Layout,
    ParseError,
    ParseLimits,
)
from mainstay.observe.metrics.exposition.parser import Parser, format_of

__all__ = ["NO_TIME", "Exposition", "Family", "Format", "Layout", "ParseError", "ParseLimits", "Parser", "format_of"]
