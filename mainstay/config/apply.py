"""Planning and applying a file: what the commands, the API and the worker call.

A file is checked and planned whole; with any mistake nothing changes. Then it is carried out: a small one in one
transaction, a large one in pieces (`pieces.py`), so that nobody waits long for the database. One that was cut off is
finished by the worker from what was stored of it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePath
from time import monotonic
from typing import Any

from django.db import DatabaseError

from mainstay.config import facts, pieces
from mainstay.config.document import Document, document
from mainstay.config.plan import Change, Plan, Verb, plan
from mainstay.config.present import StoredSecrets, state, stored_secrets
from mainstay.config.problems import BadFile, Problems
from mainstay.config.read import read
from mainstay.config.steps import Steps
from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.accounts.permissions import CONFIG_APPLY
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.secrets import MASK, LostKey
from mainstay.foundation.yaml.problems import Problem

log = logging.getLogger("mainstay.config")
CHANGES_TOLD = 200
NO_VARIABLES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What planning or applying a file came to. With problems, nothing was changed."""

    file: str
    managed_as: str
    changes: tuple[Change, ...] = ()
    counts: Mapping[str, int] | None = None
    problems: tuple[Problem, ...] = ()
    applied: bool = False

    @property
    def fine(self) -> bool:
        """Whether the file is valid."""
        return not self.problems

    @property
    def changes_nothing(self) -> bool:
        """Whether everything is as the file says already."""
        return not any(change.matters for change in self.changes)

    def document(self) -> dict[str, Any]:
        """Return it for programs; unchanged things are only counted."""
        return {
            "file": self.file,
            "managed_as": self.managed_as,
            "valid": self.fine,
            "applied": self.applied,
            "changes": [change.document() for change in self.changes if change.matters],
            "counts": dict(self.counts or {}),
            "errors": [problem.document() for problem in self.problems],
        }


def plan_text(
    text: str | bytes, file_name: str, actor: Actor, now: datetime, *, environ: Mapping[str, str] = NO_VARIABLES
) -> Outcome:
    """Return what applying `text` would change.

    Args:
        file_name: its base name is what things are managed by, unless the text says `managed_as`.
        environ: what `${NAME}` stands for. Only the command line gives its own: through the API a text could
            otherwise read the secrets of the server's environment.

    Raises:
        NotAllowed.
    """
    actor.need(CONFIG_APPLY)
    return _Prepared(file_name, Problems()).prepare(text, environ).outcome()


def apply_text(
    text: str | bytes, file_name: str, actor: Actor, now: datetime, *, environ: Mapping[str, str] = NO_VARIABLES
) -> Outcome:
    """Make everything what `text` says. With any mistake in it, nothing is changed. Arguments as of `plan_text`.

    Raises:
        NotAllowed.
    """
    actor.need(CONFIG_APPLY)
    at = _clock(now)
    prepared = _Prepared(file_name, Problems())
    try:
        claim = pieces.take(file_name, actor, at, finish=lambda: finish_cut_off(at()))
    except pieces.Busy as busy:
        prepared.problems.add(0, 0, "", str(busy))
        return prepared.outcome()
    with claim:
        return _apply(text, prepared, actor, now, _Used(environ), claim)


def finish_cut_off(now: datetime) -> bool:
    """Finish a file whose applying was cut off; return whether there was one. The worker asks now and then.

    It is planned anew from its stored text: what is done already needs nothing, and whatever people changed meanwhile
    the file changes back, as whenever it is applied. Who applied it must still be allowed to.
    """
    claim = pieces.take_over(now)
    if claim is None:
        return False
    row = claim.row
    prepared = _Prepared(row.file, Problems())
    with claim:
        try:
            text, environ = pieces.source_of(row)
            actor = pieces.actor_of(row, now)
            actor.need(CONFIG_APPLY)
            log.warning("%s was cut off after %d of %d changes: going on", row.managed_as, row.done, row.total)
            outcome = _apply(text, prepared, actor, now, _Used(environ), claim)
        except (LostKey, NotAllowed) as error:
            claim.stop(str(error))
            return True
        except DatabaseError:
            raise
        except Exception as error:  # the same would fail again, and until then nobody else could apply anything
            log.exception("%s cannot be finished", row.managed_as)
            claim.stop(f"It cannot be finished: a defect of Mainstay or of what was stored ({type(error).__name__}).")
            return True
    if outcome.problems:
        log.error("%s could not be finished: %s", row.managed_as, outcome.problems[0].shown(row.file))
    return True


def _apply(
    text: str | bytes,
    prepared: "_Prepared",
    actor: Actor,
    now: datetime,
    used: "_Used",
    claim: pieces.Claim,
) -> Outcome:
    prepared.prepare(text, used)
    planned = prepared.plan
    if prepared.wanted is None or planned is None or prepared.problems.found:
        if claim.begun:
            claim.stop(prepared.problems.ordered()[0].shown(prepared.file))
        return prepared.outcome()
    if planned.changes_nothing and not claim.begun:
        return prepared.outcome(applied=True)
    steps = Steps(prepared.wanted, planned, actor, now)
    try:
        claim.carry_out(
            steps.all(),
            settle=steps.settle,
            end=lambda: _tell(planned, actor, now),
            begin=lambda total: pieces.Begin(prepared.managed_as, text, used.taken, actor, now, total),
        )
    except BadFile as error:  # an action refused: its piece was taken back
        prepared.problems.found += error.problems
        if claim.begun:
            claim.stop(error.problems[0].shown(prepared.file))
            prepared.problems.add(0, 0, "", f"{claim.row.done} of {claim.row.total} changes were made before that")
        return prepared.outcome()
    except pieces.Lost as lost:
        prepared.problems.add(0, 0, "", str(lost))
        return prepared.outcome()
    return prepared.outcome(applied=True)


def _clock(now: datetime) -> Callable[[], datetime]:
    begun = monotonic()
    return lambda: now + timedelta(seconds=monotonic() - begun)


@dataclass(slots=True)
class _Used(Mapping[str, str]):
    """Variables, noting which of them a file used: these are stored with it, sealed, until it is done."""

    given: Mapping[str, str]
    taken: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        self.taken[name] = value = self.given[name]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)


@dataclass(slots=True)
class _Prepared:
    file: str
    problems: Problems
    managed_as: str = ""
    wanted: Document | None = None
    plan: Plan | None = None

    def outcome(self, *, applied: bool = False) -> Outcome:
        if self.problems.found or self.plan is None:
            return Outcome(self.file, self.managed_as, problems=self.problems.ordered())
        return Outcome(self.file, self.managed_as, self.plan.changes, self.plan.counts(), applied=applied)

    def prepare(self, text: str | bytes, environ: Mapping[str, str]) -> "_Prepared":
        """Read and plan."""
        try:
            root = read(text, environ, self.problems)
        except BadFile as error:
            self.problems.found += error.problems
            return self
        masks = MASK.encode() in text if isinstance(text, bytes) else MASK in text
        secrets = stored_secrets() if masks else StoredSecrets({})
        self.wanted = document(root, secrets.keep, self.problems)
        self.managed_as = self.wanted.managed_as or PurePath(self.file).name[:200]
        self.plan = plan(state(), self.wanted, self.managed_as, self.problems)
        return self


def _tell(plan: Plan, actor: Actor, now: datetime) -> None:
    counts = plan.counts()
    told = []
    for change in plan.changes:
        if change.matters:
            verb = "adopt" if change.verb is Verb.KEEP else change.verb.value
            fields = f": {', '.join(one.field for one in change.fields)}" if change.verb is Verb.CHANGE else ""
            told.append(f"{verb} {change.kind} {change.name}{fields}")
    write(
        facts.CONFIG_APPLIED,
        Subject("config", 0, plan.managed_as),
        actor,
        now,
        added=counts["add"],
        changed=counts["change"],
        removed=counts["remove"],
        adopted=counts["adopt"],
        kept=counts["keep"],
        changes=told[:CHANGES_TOLD],
    )
