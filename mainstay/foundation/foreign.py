"""The edge to libraries in Rust and C: whatever comes out of them is one of our errors, or an exit.

A panic in Rust reaches Python as a BaseException that `except Exception` does not catch, and it may come from reading
an attribute, not only from a call. What such a library is given, and what is read from it, stands inside `foreign`.
An overflowing stack ends the process and is no exception: bound the depth before the library sees the input.
"""

from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXITS = (SystemExit, KeyboardInterrupt, GeneratorExit, CancelledError)
"""What asks a thread or a task to end. Nothing may take these for a failure."""
_SHOWN_MOST = 300


def told(error: BaseException) -> str:
    """Return what went wrong on one short line, for people."""
    text = " ".join(str(error)[: 2 * _SHOWN_MOST].split())
    return f"{type(error).__name__}: {text[:_SHOWN_MOST]}" if text else type(error).__name__


@contextmanager
def foreign(library: str, failure: Callable[[str], Exception], *ours: type[Exception]) -> Iterator[None]:
    """Turn whatever is raised inside into `failure(message)`; exits and the errors in `ours` pass as they are."""
    try:
        yield
    except EXITS:
        raise
    except ours:
        raise
    except BaseException as error:  # noqa: BLE001  # a panic is no Exception; exits have passed already
        raise failure(f"{library} cannot read this ({told(error)}).") from None
