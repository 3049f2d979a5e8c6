"""Sets the shift that `sitecustomize.py` adds: `python tests/clockshift/shift.py FILE SECONDS`. Makes the file."""

import struct
import sys
from pathlib import Path


def shift(path: Path, seconds: float) -> None:
    """Let all processes that have mapped `path` see the wall clock so many seconds off, from now on."""
    if not path.exists():
        path.write_bytes(struct.pack("d", seconds))
        return
    with path.open("r+b") as file:  # in place: it is mapped
        file.write(struct.pack("d", seconds))


if __name__ == "__main__":
    shift(Path(sys.argv[1]), float(sys.argv[2]))
