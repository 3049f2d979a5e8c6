"""Free disk where Mainstay writes: under 1 GB is said on Now, before the disk is full and nothing can be recorded."""

import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from mainstay.foundation.processes import notices
from mainstay.foundation.processes.doctor import FREE_LEAST_BYTES, existing

FREE_GRAVE_BYTES = 200_000_000
LOOK_EVERY_S = 30.0
NOTICE = "disk"


def look(paths: Iterable[Path], now: datetime) -> None:
    """Tell or end the notice about the fullest of the file systems that `paths` lie on."""
    free, path = min((shutil.disk_usage(existing(path)).free, path) for path in paths)
    if free >= FREE_LEAST_BYTES:
        notices.end(NOTICE)
        return
    notices.tell(
        NOTICE,
        "The disk is nearly full.",
        f"{free / 1e6:.0f} MB are free where {path} lies. Without room, nothing can be recorded and nobody is paged."
        " Free some, or keep less: MAINSTAY_RESULTS_KEPT, MAINSTAY_METRICS_KEPT, MAINSTAY_METRICS_DISK_MOST.",
        now,
        grave=free < FREE_GRAVE_BYTES,
    )
