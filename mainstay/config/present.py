"""What is configured now, read from the records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Prefetch, QuerySet

from mainstay.config import canonical
from mainstay.config.canonical import Written
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.catalog.actions import spec_of as application_spec
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.secrets import LostKey, keep_masked
from mainstay.observe.checks.actions import spec_of as check_spec
from mainstay.observe.checks.actions import spec_of_window as window_spec
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.metrics.actions import spec_of as scrape_spec
from mainstay.observe.metrics.models import Scrape
from mainstay.respond.alerts.models import Route
from mainstay.respond.alerts.routes import spec_of as route_spec
from mainstay.respond.delivery.actions import spec_of as channel_spec
from mainstay.respond.delivery.models import Channel
from mainstay.respond.rules.actions import spec_of as group_spec
from mainstay.respond.rules.models import RuleGroup

READ_AT_ONCE = 2_000
T = TypeVar("T", bound=Any)
Key = tuple[str, str]
"""Kind and name: ("check", "shop/storefront")."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One configured thing."""

    kind: str
    name: str
    document: Written
    managed_by: str
    pk: int
    ends_at: datetime | None = None  # of a single maintenance window


@dataclass(slots=True)
class State:
    """All that is configured. Each dict is in a stable order; routes in theirs."""

    things: dict[Key, Thing] = field(default_factory=dict)
    people: frozenset[str] = frozenset()
    owners: dict[str, str] = field(default_factory=dict)  # application → team
    doubles: tuple[str, ...] = ()  # maintenance windows whose name an older one has
    unreadable: dict[Key, str] = field(default_factory=dict)
    """What does not fit its own rules (another key, a version that knew more), and why; its document is empty."""

    def of(self, kind: str) -> Iterator[Thing]:
        """Return the things of one kind."""
        return (thing for thing in self.things.values() if thing.kind == kind)


def state() -> State:
    """Read everything. One row that cannot be read is named, and can be written anew or removed like any other."""
    found = State(people=frozenset(User.objects.values_list("email", flat=True)))
    for team in Team.objects.order_by("name").prefetch_related("members"):
        _add(found, "team", team.name, team, lambda team: canonical.team(_team_spec(team)))
    for application in Application.objects.order_by("name").select_related("owner"):
        _add(found, "application", application.name, application, lambda a: canonical.application(application_spec(a)))
        if application.owner is not None:
            found.owners[application.name] = application.owner.name
    for check in with_needs(Check.objects.order_by("application__name", "name")).iterator(chunk_size=READ_AT_ONCE):
        _add(found, "check", str(check), check, lambda c: canonical.check(check_spec(c), c.application.name))
    for channel in Channel.objects.order_by("name"):
        _add(found, "channel", channel.name, channel, lambda channel: canonical.channel(channel_spec(channel)))
    for route in Route.objects.order_by("position", "id"):
        _add(found, "route", route.name, route, lambda route: canonical.route(route_spec(route)))
    _maintenance(found)
    for scrape in Scrape.objects.order_by("name").select_related("application", "environment"):
        _add(found, "scrape", scrape.name, scrape, lambda scrape: canonical.scrape(scrape_spec(scrape)))
    for group in RuleGroup.objects.order_by("name").prefetch_related("rules"):
        _add(found, "rules", group.name, group, lambda group: canonical.rules(group_spec(group)))
    return found


def with_needs(checks: QuerySet[Check]) -> QuerySet[Check]:
    """Return checks with all that makes up their documents, read at once."""
    needed = Prefetch("needs", Check.objects.select_related("application").order_by("id"))
    return checks.select_related("application", "environment", "component").prefetch_related(needed)


def _maintenance(found: State) -> None:
    doubles = []
    for row in Maintenance.objects.filter(cancelled_at=None).select_related("application").order_by("name", "id"):
        if ("maintenance", row.name) in found.things:
            doubles.append(row.name)
            continue
        _add(found, "maintenance", row.name, row, lambda row: canonical.maintenance(window_spec(row)), row.ends_at)
    found.doubles = tuple(doubles)


def _team_spec(team: Team) -> TeamSpec:
    members = [user.email for user in team.members.all()]
    return TeamSpec.model_construct(name=team.name, email=team.email or None, members=members)


def _add(
    found: State, kind: str, name: str, row: T, written: Callable[[T], Written], ends_at: datetime | None = None
) -> None:
    document: Written = {}
    try:
        document = written(row)
    except LostKey as error:
        found.unreadable[kind, name] = str(error)
    except (ValueError, TypeError, LookupError, AttributeError):
        # A database holds what its columns allow, whoever wrote it: any shape may stand there.
        found.unreadable[kind, name] = "what is stored cannot be read by this version"
    found.things[kind, name] = Thing(kind, name, document, row.managed_by, row.pk, ends_at)


def stored_secrets() -> "StoredSecrets":
    """Return what puts stored secrets in place of masks."""
    configs: dict[tuple[str, str, str], Any] = {}
    for application, name, kind, config in Check.objects.values_list("application__name", "name", "kind", "config"):
        configs["check", f"{application}/{name}", kind] = config
    for name, kind, config in Channel.objects.values_list("name", "kind", "config"):
        configs["channel", name, kind] = config
    for name, config in Scrape.objects.values_list("name", "config"):
        configs |= {("scrape", name, field): value for field, value in config.items()}
    return StoredSecrets(configs)


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """The stored settings, secrets sealed."""

    configs: dict[tuple[str, str, str], Any]

    def keep(self, what: str, name: str, kind: str, given: Any) -> Any:
        """Return `given` with its masks replaced by the secrets stored at the same place.

        Raises:
            LostKey: they were stored with another key.
        """
        return keep_masked(given, self.configs.get((what, name, kind)), settings.SECRET_KEY)
