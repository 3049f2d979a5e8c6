"""What is wrong with a file of rules or of their tests: where, in which field, how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """A mistake, or what looks like one. Line and column count from 1; 0 where there is no place."""

    line: int
    column: int
    path: str  # groups[hosts].rules[HostDown].expr
    detail: str

    def shown(self, file: str) -> str:
        """Return `FILE:LINE:COL: path: detail`, as editors and compilers have it."""
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        return ": ".join(part for part in (place, self.path, self.detail) if part)

    def document(self) -> dict[str, object]:
        """Return the problem for programs."""
        return {"line": self.line, "column": self.column, "path": self.path, "detail": self.detail}


class BadRules(ValueError):
    """A file cannot be used; `problems` has all its mistakes."""

    def __init__(self, file: str, problems: Iterable[RuleProblem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.shown(file) for problem in self.problems))
