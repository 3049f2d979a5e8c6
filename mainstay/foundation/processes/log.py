"""One line per log record: time, level, logger, message. Journald and container logs add the rest."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

CLIENTS = ("mainstay.clients", "django.security", "uvicorn")  # loggers that tell what clients did wrong
CLIENTS_EVERY_S = 10.0
MESSAGE_MOST = 500


class ClientMistakes(logging.Filter):
    """Lets through what clients did wrong as one short line, a logger one in ten seconds, with how many it stands for.

    Whoever can reach the port decides how often this happens, and must not be able to fill the log.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(CLIENTS) or (record.name == "uvicorn.error" and record.exc_info):
            return True
        now = self._seconds()
        if now - self._last.get(record.name, -CLIENTS_EVERY_S) < CLIENTS_EVERY_S:
            self._untold[record.name] = self._untold.get(record.name, 0) + 1
            return False
        self._last[record.name] = now
        untold = self._untold.pop(record.name, 0)
        message = record.getMessage()[:MESSAGE_MOST]
        record.msg, record.args = (f"{message} (and {untold} more like it)" if untold else message), ()
        record.exc_info = record.exc_text = None
        return True


class LineFormatter(logging.Formatter):
    """Formats `2026-01-31T12:00:00.123Z INFO monitor: message`; a traceback follows on its own lines."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        return f"{self.formatTime(record)} {record.levelname} {record.name.removeprefix('mainstay.')}: {message}"
