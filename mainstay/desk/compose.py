"""Asks the parts that wings name: one that fails costs only itself."""

import logging
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any

from django.db import DatabaseError
from django.utils.module_loading import import_string

log = logging.getLogger("mainstay.web")
SLOW_S = 1.0


def ask(path: str, *given: Any, otherwise: Sequence[Any] = ()) -> Sequence[Any]:
    """Return what the part at this dotted path answers, or `otherwise` when it fails.

    Raises:
        DatabaseError: nothing could be read, by any part.
    """
    began = perf_counter()
    try:
        answer: Iterable[Any] = import_string(path)(*given)
        return list(answer)
    except DatabaseError:
        raise
    except Exception:
        log.exception("%s failed; what it would have told is left out", path)
        return otherwise
    finally:
        if (took_s := perf_counter() - began) > SLOW_S:
            log.warning("%s took %.1f s", path, took_s)
