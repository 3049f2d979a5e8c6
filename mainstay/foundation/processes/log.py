"""One line per log record: time, level, logger, message. Journald and container logs add the rest."""

import logging
from datetime import UTC, datetime


class LineFormatter(logging.Formatter):
    """Formats `2026-01-31T12:00:00.123Z INFO monitor: message`; a traceback follows on its own lines."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        return f"{self.formatTime(record)} {record.levelname} {record.name.removeprefix('mainstay.')}: {message}"
