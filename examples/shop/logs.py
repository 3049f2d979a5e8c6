"""Logs as one JSON object per line on standard output."""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime


def fields(**named: object) -> Mapping[str, Mapping[str, object]]:
    """Named values for a log line: `log.info("answered", extra=fields(status=200))`."""
    return {"fields": named}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"ts": at, "level": record.levelname.lower(), "logger": record.name}
        line |= {"msg": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info and record.exc_info[0] is not None:
            kind, problem, _ = record.exc_info
            line["exception"] = {
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "message": str(problem),
                "stack": "".join(traceback.format_exception(problem)),
            }
        return json.dumps(line, default=str)


def start(*, access: bool) -> None:
    """Send every logger to standard output, with uncaught exceptions; requests only with `access`."""
    logging.raiseExceptions = False  # when whoever read our output has gone, the shop goes on selling
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("shop.access").setLevel(logging.INFO if access else logging.ERROR)
    log = logging.getLogger("shop")
    sys.excepthook = lambda _kind, problem, _stack: log.critical("uncaught exception", exc_info=problem)
    threading.excepthook = lambda report: log.critical("uncaught exception", exc_info=report.exc_value)
