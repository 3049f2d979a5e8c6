"""What the operating system says about this process."""

import os
import resource
import sys
import time
from pathlib import Path

_STATM = Path("/proc/self/statm")
_OPEN_FILES = Path("/proc/self/fd")

STARTED_AT = time.time()


def resident_memory_bytes() -> int:
    """Memory held in RAM. Where /proc is missing (macOS) this is the peak so far, the nearest figure at hand."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def cpu_seconds() -> float:
    """User and system time of all threads."""
    return time.process_time()


def open_files() -> int | None:
    """Open file descriptors, or None where the system does not tell."""
    try:
        return len(list(_OPEN_FILES.iterdir()))
    except FileNotFoundError:
        return None
