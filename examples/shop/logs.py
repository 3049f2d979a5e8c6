"""Logs as one JSON object per line on standard output."""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def fields(**named: object) -> Mapping[str, Mapping[str, object]]:
    """Named values for a log line: `log.info("answered", extra=fields(status=200))`."""
    return {"fields": named}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            line["request_id"] = current
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            kind, problem, _ = record.exc_info
            line["exception"] = {
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "message": str(problem),
                "stack": "".join(traceback.format_exception(problem)),
            }
        return json.dumps(line, default=str)


class _StandardOutput(logging.StreamHandler):  # type: ignore[type-arg]  # not subscriptable at run time before 3.11.4
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        # Whoever read our output has gone; the shop goes on selling without its log.
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


def start(level: int = logging.INFO) -> None:
    """Send every logger of the process to standard output, and uncaught exceptions with them."""
    handler = _StandardOutput(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    log = logging.getLogger("shop")

    def uncaught(kind: type[BaseException], problem: BaseException, stack: TracebackType | None) -> None:
        log.critical("uncaught exception", exc_info=(kind, problem, stack))

    def uncaught_in_thread(report: threading.ExceptHookArgs) -> None:
        if report.exc_value is not None:
            uncaught(report.exc_type, report.exc_value, report.exc_traceback)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
