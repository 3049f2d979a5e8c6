"""What wings give to pages that all share: one that fails, or is slow, costs itself and a line in the log."""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from django.db import DatabaseError, connection

from mainstay.foundation.processes.outage import is_refusal

log = logging.getLogger("mainstay.web")
SLOW_S = 1.0
T = TypeVar("T")


def guarded(what: str, do: Callable[[], T], otherwise: T) -> T:
    """Return what `do` does, or `otherwise` when it fails, which is logged.

    Raises:
        DatabaseError: the database refuses whatever is asked.
    """
    began = perf_counter()
    try:
        return do()
    except Exception as error:
        if isinstance(error, DatabaseError) and (is_refusal(error) or connection.needs_rollback):
            raise
        log.exception("%s failed; what it would have told is left out", what)
        return otherwise
    finally:
        if (took_s := perf_counter() - began) > SLOW_S:
            log.warning("%s took %.1f s", what, took_s)
