"""What an action raises when what is asked cannot be; faces make it a form error, a problem document, a line."""

from typing import cast

from pydantic import ValidationError
from pydantic_core import InitErrorDetails


class Refused(ValueError):
    """The request cannot be met. `field` is the path of the offending field ("needs", "expect.status"), or empty."""

    def __init__(self, detail: str, field: str = "", *, conflict: bool = False) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.detail = detail
        self.field = field
        self.conflict = conflict  # something else stands in the way (a name that is taken), not the input itself


def misfit(field: str, detail: str) -> ValidationError:
    """Return the error of one field for a validator to raise that looks at several."""
    wrong = {"type": "value_error", "loc": (field,), "input": None, "ctx": {"error": ValueError(detail)}}
    return ValidationError.from_exception_data("spec", [cast(InitErrorDetails, wrong)])


class Managed(Refused):
    """The thing is described by a file and is edited there."""

    def __init__(self, what: str, file: str) -> None:
        super().__init__(
            f"{what} is managed by the file {file}. Edit it there, then run: mainstay apply {file}", conflict=True
        )


class Gone(Refused):
    """The thing was there when it was read, and somebody has removed it since."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not there any more: somebody removed it meanwhile", conflict=True)


def need_unmanaged(what: str, managed_by: str, by_file: str) -> None:
    """Raise `Managed` when `what` belongs to a file other than the one that is being applied."""
    if managed_by and managed_by != by_file:
        raise Managed(what, managed_by)


class CannotStart(RuntimeError):
    """A process cannot start; the message says why and how to mend it, in one sentence or two."""
