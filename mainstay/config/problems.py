"""What is wrong with a file: where, in which field, how to mend it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mainstay.foundation.yaml.problems import Problem

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")
SHORTEST_SECRET = 3


class BadFile(ValueError):
    """A file cannot be used; all its problems are told at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.shown("") for problem in self.problems))


@dataclass(slots=True)
class Problems:
    """Collects problems, in order of their place, and keeps secrets out of their words."""

    found: list[Problem] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)  # value of an environment variable → how it was written

    def add(self, line: int, column: int, path: str, detail: str) -> None:
        """Note a problem."""
        self.found.append(Problem(line, column, path, self.masked(detail)))

    def masked(self, text: str) -> str:
        """Return `text` without values that came from the environment and without logins in URLs."""
        for value in sorted(self.secrets, key=len, reverse=True):
            if len(value) >= SHORTEST_SECRET:
                for form in (value, repr(value)[1:-1]):
                    text = text.replace(form, self.secrets[value])
        return _CREDENTIALS.sub("…@", text)

    def ordered(self) -> tuple[Problem, ...]:
        """Return all problems by place, each once."""
        masked = (replace(problem, detail=self.masked(problem.detail)) for problem in self.found)
        unique = dict.fromkeys(masked)
        return tuple(sorted(unique, key=lambda problem: (problem.line, problem.column)))
