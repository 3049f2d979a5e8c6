"""The check types, in one explicit dict. Adding one costs a module here and a line below."""

from mainstay.observe.checks.kinds.base import AnyKind, Kind
from mainstay.observe.checks.kinds.http import Http

KINDS: dict[str, AnyKind] = {
    "http": Http(),
}

__all__ = ["KINDS", "AnyKind", "Kind"]
