"""Planning and applying a file: what the commands and the API call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from django.db import transaction

from mainstay.config import canonical, facts
from mainstay.config.explain import locate
from mainstay.config.plan import Change, Plan, Verb, plan
from mainstay.config.present import State, StoredSecrets, Unreadable, state, stored_secrets
from mainstay.config.problems import BadFile, Problem, Problems
from mainstay.config.read import Mapping as Node
from mainstay.config.read import Sequence, read
from mainstay.config.schema import Document, Item, document
from mainstay.config.specs import TeamSpec
from mainstay.foundation.accounts import actions as people
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.permissions import Permission
from mainstay.foundation.catalog import actions as catalog
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.refusal import Refused
from mainstay.foundation.secrets import MASK
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.checks.windows import BadWindow
from mainstay.observe.metrics import actions as metrics
from mainstay.observe.metrics.models import Scrape
from mainstay.respond.alerts import routes
from mainstay.respond.alerts.models import Route
from mainstay.respond.delivery import actions as delivery
from mainstay.respond.delivery.models import Channel
from mainstay.respond.rules import actions as rules
from mainstay.respond.rules.models import RuleGroup

CHANGES_TOLD = 200
NO_VARIABLES: Mapping[str, str] = {}
_REMOVED_IN_ORDER = ("rules", "scrape", "maintenance", "route", "check", "channel", "application", "team")


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
    actor.need(Permission.CONFIG_APPLY)
    return _prepare(text, file_name, environ).outcome()


def apply_text(
    text: str | bytes, file_name: str, actor: Actor, now: datetime, *, environ: Mapping[str, str] = NO_VARIABLES
) -> Outcome:
    """Make everything what `text` says, in one transaction: all of it, or nothing. Arguments as of `plan_text`.

    Raises:
        NotAllowed.
    """
    actor.need(Permission.CONFIG_APPLY)
    prepared = _Prepared(file_name, Problems())
    try:
        with transaction.atomic():
            # Two appliers queue here (on SQLite, at BEGIN), so that each plans on what the other has done.
            Revision.objects.select_for_update().get_or_create(name="config")
            prepared = _prepare(text, file_name, environ)
            if prepared.wanted is None or prepared.plan is None or prepared.problems.found:
                return prepared.outcome()
            if not prepared.plan.changes_nothing:
                _Appliance(prepared.wanted, prepared.plan, actor, now).run()
            return prepared.outcome(applied=True)
    except BadFile as error:  # an action refused: the transaction took back what came before
        prepared.problems.found += error.problems
        return prepared.outcome()


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


def _prepare(text: str | bytes, file_name: str, environ: Mapping[str, str]) -> _Prepared:
    prepared = _Prepared(file_name, Problems())
    try:
        root = read(text, environ, prepared.problems)
    except BadFile as error:
        prepared.problems.found += error.problems
        return prepared
    present = _present(prepared.problems)
    if present is None:
        return prepared
    masks = MASK.encode() in text if isinstance(text, bytes) else MASK in text
    secrets = stored_secrets() if masks else StoredSecrets({})
    prepared.wanted = document(root, secrets.keep, prepared.problems)
    prepared.managed_as = prepared.wanted.managed_as or PurePath(file_name).name[:200]
    prepared.plan = plan(present, prepared.wanted, prepared.managed_as, prepared.problems)
    return prepared


def _present(problems: Problems) -> State | None:
    try:
        return state()
    except Unreadable as error:
        problems.add(0, 0, "", str(error))
        return None


@dataclass(frozen=True, slots=True)
class _Appliance:
    """Carries a plan out. What other things refer to comes first; removals come last."""

    wanted: Document
    plan: Plan
    actor: Actor
    now: datetime

    def run(self) -> None:
        file = self.plan.managed_as
        matters = {(change.kind, change.name) for change in self.plan.changes if change.matters}
        for team in self.wanted.teams:
            if ("team", team.name) in matters:
                self._team(team)
        self._applications(matters)
        for channel in self.wanted.channels:
            if ("channel", channel.name) in matters:
                existing = Channel.objects.filter(name=channel.name).first()
                with _placed(channel):
                    delivery.put_channel(channel.spec, self.actor, self.now, existing=existing, by_file=file)
        self._checks(matters)
        self._routes(matters)
        for window in self.wanted.maintenance:
            if ("maintenance", window.name) in matters:
                row = Maintenance.objects.filter(name=window.name, cancelled_at=None).order_by("id").first()
                name = window.spec.application
                application = Application.objects.get(name=name).pk if name is not None else None
                with _placed(window):
                    checks.announce(window.spec.window(application), self.actor, self.now, existing=row, by_file=file)
        for scrape in self.wanted.scrapes:
            if ("scrape", scrape.name) in matters:
                existing_scrape = Scrape.objects.filter(name=scrape.name).first()
                with _placed(scrape):
                    metrics.put_scrape(scrape.spec, self.actor, self.now, existing=existing_scrape, by_file=file)
        for group in self.wanted.groups:
            if ("rules", group.name) in matters:
                existing_group = RuleGroup.objects.filter(name=group.name).first()
                with _placed(group):
                    rules.put_group(group.spec, self.actor, self.now, existing=existing_group, by_file=file)
        self._removals()
        self._tell()

    def _team(self, team: Item[TeamSpec]) -> None:
        existing = Team.objects.filter(name=team.name).first()
        members = list(User.objects.filter(email__in=team.spec.members))
        with _placed(team):
            people.put_team(
                team.name,
                team.spec.email or "",
                members,
                self.actor,
                self.now,
                existing=existing,
                by_file=self.plan.managed_as,
            )

    def _applications(self, matters: set[tuple[str, str]]) -> None:
        put = []
        for item in self.wanted.applications:
            if ("application", item.name) not in matters:
                continue
            existing = Application.objects.filter(name=item.name).first()
            spec = _in_present_order(item.spec, catalog.spec_of(existing) if existing else None)
            with _placed(item, spec):
                application = catalog.put_application(
                    spec, self.actor, self.now, existing=existing, by_file=self.plan.managed_as, dependencies=False
                )
            put.append((item, application, spec))
        for item, application, spec in put:
            with _placed(item, spec):
                catalog.depend(application, spec.components)

    def _checks(self, matters: set[tuple[str, str]]) -> None:
        put = []
        for application_item in self.wanted.applications:
            items = [
                item for item in self.wanted.checks.get(application_item.name, ()) if ("check", item.name) in matters
            ]
            if not items:
                continue
            application = Application.objects.get(name=application_item.name)
            rows = {
                row.name: row for row in application.checks.select_related("application", "environment", "component")
            }
            for item in items:
                needs = canonical.own_needs(item.spec.needs, application.name)
                existing = rows.get(item.spec.name)
                present = checks.spec_of(existing).needs if existing is not None else []
                spec = canonical.normal_check(item.spec).model_copy(update={"needs": _ordered(needs, present)})
                with _placed(item):
                    check = checks.put_check(
                        application,
                        spec,
                        self.actor,
                        self.now,
                        existing=existing,
                        by_file=self.plan.managed_as,
                        needs=False,
                    )
                put.append((item, check, needs, present))
        for item, check, needs, present in put:
            if sorted(present) != needs:
                with _placed(item):
                    checks.set_needs(check, needs, look_for_cycle=False)
        if put:
            with _without_place("checks"):  # the plan has looked already, and names the place
                checks.refuse_cycle()

    def _routes(self, matters: set[tuple[str, str]]) -> None:
        order = {name: place for place, name in enumerate(self.plan.route_order or ())}
        for item in self.wanted.routes:
            if ("route", item.name) in matters:
                existing = Route.objects.filter(name=item.name).first()
                with _placed(item):
                    routes.put_route(
                        item.spec,
                        self.actor,
                        self.now,
                        existing=existing,
                        position=order.get(item.name),
                        by_file=self.plan.managed_as,
                    )
        for name, place in order.items():
            Route.objects.filter(name=name).exclude(position=place).update(position=place)

    def _removals(self) -> None:
        leaving = [change for change in self.plan.changes if change.verb is Verb.REMOVE]
        for kind in _REMOVED_IN_ORDER:
            for change in leaving:
                if change.kind == kind:
                    with _without_place(f"{kind} {change.name}"):
                        self._remove(change)

    def _remove(self, change: Change) -> None:
        actor, now, file = self.actor, self.now, self.plan.managed_as
        match change.kind:
            case "maintenance":
                for window in Maintenance.objects.filter(name=change.name, managed_by=file, cancelled_at=None):
                    checks.cancel(window, actor, now, by_file=file)
            case "route":
                routes.remove_route(Route.objects.get(name=change.name), actor, now, by_file=file)
            case "check":
                application, _, name = change.name.partition("/")
                row = Check.objects.select_related("application").get(application__name=application, name=name)
                checks.remove_check(row, actor, now, by_file=row.managed_by and file)
            case "channel":
                delivery.remove_channel(Channel.objects.get(name=change.name), actor, now, by_file=file)
            case "application":
                catalog.remove_application(Application.objects.get(name=change.name), actor, now, by_file=file)
            case "scrape":
                metrics.remove_scrape(Scrape.objects.get(name=change.name), actor, now, by_file=file)
            case "rules":
                rules.remove_group(RuleGroup.objects.get(name=change.name), actor, now, by_file=file)
            case "team":
                people.remove_team(Team.objects.get(name=change.name), actor, now, by_file=file)

    def _tell(self) -> None:
        counts = self.plan.counts()
        told = []
        for change in self.plan.changes:
            if change.matters:
                verb = "adopt" if change.verb is Verb.KEEP else change.verb.value
                fields = f": {', '.join(one.field for one in change.fields)}" if change.verb is Verb.CHANGE else ""
                told.append(f"{verb} {change.kind} {change.name}{fields}")
        write(
            facts.CONFIG_APPLIED,
            Subject("config", 0, self.plan.managed_as),
            self.actor,
            self.now,
            added=counts["add"],
            changed=counts["change"],
            removed=counts["remove"],
            adopted=counts["adopt"],
            kept=counts["keep"],
            changes=told[:CHANGES_TOLD],
        )


def _in_present_order(spec: ApplicationSpec, present: ApplicationSpec | None) -> ApplicationSpec:
    """Return the spec with its parts in the order of the records, so that the journal tells real changes only."""
    components = []
    for component in spec.components:
        was = next((one.needs for one in present.components if one.name == component.name), []) if present else []
        needs = _ordered(canonical.own_needs(component.needs, spec.name), was)
        components.append(component.model_copy(update={"needs": needs}))
    place = {part.name: number for number, part in enumerate(present.components)} if present else {}
    components.sort(key=lambda part: place.get(part.name, len(place)))
    site = {part.name: number for number, part in enumerate(present.environments)} if present else {}
    environments = sorted(spec.environments, key=lambda part: site.get(part.name, len(site)))
    return spec.model_copy(update={"components": components, "environments": environments})


def _ordered(names: list[str], present: list[str]) -> list[str]:
    kept = [name for name in present if name in names]
    return [*kept, *(name for name in names if name not in kept)]


@contextmanager
def _placed(item: Item[Any], spec: ApplicationSpec | None = None) -> Iterator[None]:
    """Turn a refusal into a problem at the place of its field."""
    try:
        yield
    except (Refused, BadWindow) as error:
        field = error.field if isinstance(error, Refused) else str(error).partition(":")[0]
        detail = error.detail if isinstance(error, Refused) else str(error)
        loc: list[str | int] = [int(part) if part.isdecimal() else part for part in field.split(".") if part]
        if spec is not None and len(loc) > 1 and loc[0] == "components" and isinstance(loc[1], int):
            loc[1] = _position(item.node, spec.components[loc[1]].name)
        place = locate(item.node, item.path, loc)
        raise BadFile([Problem(place.line, place.column, place.path, detail)]) from None


@contextmanager
def _without_place(what: str) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise BadFile([Problem(0, 0, what, error.detail)]) from None


def _position(node: Node, name: str) -> int:
    """Return the place in the file of the component that is called `name`."""
    entry = node.entries.get("components")
    if entry is None or not isinstance(entry.node, Sequence):
        return 0
    parts = [part.text("name") if isinstance(part, Node) else "" for part in entry.node.items]
    return parts.index(name) if name in parts else 0
