"""What wings keep in files of their own (`Wing.kept`): their part of a backup, and putting it back."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mainstay.foundation.backups import database, note
from mainstay.foundation.environment import Environment

COPIED = "copied"


class NotCopied(RuntimeError):
    """There is something and it could not be copied; the message says why."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one wing: `name` is that of their folder in the home and in a backup."""

    name: str
    copy: Callable[[Environment, str, Path], str]

    def are_in(self, environment: Environment) -> bool:
        """Tell whether there are any."""
        return (environment.home / self.name).exists()

    def back_up(self, environment: Environment, folder: Path) -> tuple[str, bool]:
        """Copy them below `folder`; return "copied" or why they are not, and whether that is a failure."""
        try:
            return self.copy(environment, note.key_of(environment), folder), False
        except NotCopied as error:
            shutil.rmtree(folder / self.name, ignore_errors=True)
            return str(error), True

    def put_beside(self, environment: Environment, folder: Path) -> str:
        """Copy those of a backup beside those that are there; return why that failed, or ""."""
        source, copied = folder / self.name, self._beside(environment)
        try:
            if copied.exists():  # left of a restore that was cut off
                shutil.rmtree(copied)
            if source.is_dir():
                shutil.copytree(source, copied)
            else:
                copied.mkdir(mode=0o700)  # there were none
        except OSError as error:
            return str(error)
        return ""

    def change(self, environment: Environment, aside: Path) -> None:
        """Have those put beside take the place of those that are there, which are kept in `aside`."""
        self._beside(environment).rename(environment.home / f"{self.name}.{aside.name}")
        self.finish(environment)

    def finish(self, environment: Environment) -> bool:
        """Do what is left of `change`; return whether there was anything."""
        target = environment.home / self.name
        for copied in environment.home.glob(f"{self.name}.{database.BEFORE_RESTORE}*"):
            aside = environment.home / note.COPIES / copied.name.removeprefix(f"{self.name}.")
            if target.exists():
                aside.mkdir(parents=True, exist_ok=True, mode=0o700)
                target.rename(database.free(aside / self.name))
            copied.rename(target)
            return True
        return False

    def left(self, environment: Environment) -> Iterator[Path]:
        """Yield what a restore that was cut off has left."""
        if (copied := self._beside(environment)).exists():
            yield copied

    def _beside(self, environment: Environment) -> Path:
        return environment.home / f"{self.name}{database.RESTORING}"
