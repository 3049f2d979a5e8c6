"""What is wrong with a file: where, in which field, how to mend it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake, or what looks like one. `line` and `column` count from 1; 0 where it has no place in the file."""

    line: int
    column: int
    path: str  # applications[shop].checks[storefront].http.url
    detail: str

    def shown(self, file: str) -> str:
        """Return `FILE:LINE:COL: path: detail`, as editors and compilers have it."""
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        return ": ".join(part for part in (place, self.path, self.detail) if part)

    def document(self) -> dict[str, object]:
        """Return the problem for programs."""
        return {"line": self.line, "column": self.column, "path": self.path, "detail": self.detail}


class NotYaml(ValueError):
    """A text that cannot be read as YAML here. The error itself names the line, never the content.

    Attributes:
        detail: why, for those who wrote it.
        mend: what they can do about it, where that is known.
        is_syntax: it is no YAML at all, rather than YAML that is not read here.
    """

    def __init__(
        self, line: int, column: int, detail: str, mend: str = "", *, path: str = "", is_syntax: bool = False
    ) -> None:
        super().__init__(f"it is not YAML (line {line})")
        self.line, self.column, self.path = line, column, path
        self.detail, self.mend, self.is_syntax = detail, mend, is_syntax

    @property
    def problem(self) -> Problem:
        """The mistake in its place, and how to mend it."""
        detail = f"not YAML: {self.detail}" if self.is_syntax else self.detail
        return Problem(self.line, self.column, self.path, f"{detail}; {self.mend}" if self.mend else detail)

    @property
    def placed(self) -> str:
        """Why, and where, for those who wrote it into a box."""
        return f"{self.detail} (line {self.line}, column {self.column})"
