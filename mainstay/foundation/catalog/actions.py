"""What people do with the catalog: permission, change and journal entry in one transaction."""

from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import transaction

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import Team
from mainstay.foundation.catalog import facts
from mainstay.foundation.catalog.models import Application, Component, Dependency, Environment
from mainstay.foundation.catalog.spec import ApplicationSpec, ComponentSpec
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.foundation.graph import find_cycle
from mainstay.foundation.held import held
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.refusal import Refused, need_unmanaged
from mainstay.foundation.resource import differences, read_or_none


def subject(application: Application) -> Subject:
    """Return the application as the journal names it."""
    return Subject("application", application.pk, application.name, application.pk)


@transaction.atomic
def put_application(
    spec: ApplicationSpec,
    actor: Actor,
    at: datetime,
    *,
    existing: Application | None = None,
    by_file: str = "",
    dependencies: bool = True,
) -> Application:
    """Create an application, or make an existing one what `spec` says; return it.

    Environments and components that `spec` does not name are removed. A file's applications are put with
    `dependencies` false and `depend` is called when all exist, since they may name each other's components.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(CATALOG_EDIT)
    owner = _owner(spec)
    if existing is None:
        if Application.objects.filter(name=spec.name).exists():
            raise Refused(f"an application named {spec.name} exists already", "name", conflict=True)
        application = Application.objects.create(
            name=spec.name,
            tier=spec.tier,
            description=spec.description,
            owner=owner,
            repository=spec.repository,
            links=[link.model_dump() for link in spec.links],
            managed_by=by_file,
            created_at=at,
        )
        write(facts.APPLICATION_CREATED, subject(application), actor, at, tier=spec.tier)
        _put_parts(application, spec)
        if dependencies:
            depend(application, spec.components)
        return application
    application = held(existing, f"The application {existing.name}", by_file)
    was = read_or_none(spec_of, application)
    if application.name != spec.name and Application.objects.filter(name=spec.name).exists():
        raise Refused(f"an application named {spec.name} exists already", "name", conflict=True)
    application.name, application.owner, application.managed_by = spec.name, owner, by_file
    application.tier, application.description, application.repository = spec.tier, spec.description, spec.repository
    application.links = [link.model_dump() for link in spec.links]
    application.save()
    _put_parts(application, spec)
    if dependencies:
        depend(application, spec.components)
    if changed := differences(was, spec):
        write(facts.APPLICATION_EDITED, subject(application), actor, at, fields=changed)
        Revision.bump("checks")
    return application


@transaction.atomic
def depend(application: Application, components: Iterable[ComponentSpec]) -> None:
    """Set what the components of `application` depend on; a cycle is refused, naming it.

    Raises:
        Refused: an unknown component, or a cycle.
    """
    wanted: set[tuple[int, int]] = set()
    mine = {component.name: component for component in application.components.all()}
    for place, component in enumerate(components):
        for name in component.needs:
            owner, _, part = name.rpartition("/")
            needed = Component.objects.filter(application__name=owner, name=part).first() if owner else mine.get(part)
            field = f"components.{place}.needs"
            if needed is None:
                raise Refused(f"no component named {name} exists", field)
            if needed == mine[component.name]:
                raise Refused(f"{name} cannot need itself", field)
            wanted.add((mine[component.name].pk, needed.pk))
    present = set(Dependency.objects.filter(component__application=application).values_list("component_id", "needs_id"))
    if wanted == present:
        return
    Revision.bump("checks")  # before reading: two who each add half of a circle queue here
    for one, other in present - wanted:
        Dependency.objects.filter(component=one, needs=other).delete()
    Dependency.objects.bulk_create(Dependency(component_id=one, needs_id=other) for one, other in wanted - present)
    edges: dict[str, list[str]] = {}
    for row in Dependency.objects.select_related("component__application", "needs__application"):
        edges.setdefault(str(row.component), []).append(str(row.needs))
    cycle = find_cycle(edges)
    if cycle:
        raise Refused(f"the dependencies form a cycle: {' → '.join(cycle)}. Remove one of them.", "components")


Clearing = Callable[[Application, Actor, datetime], None]
_clearing: list[Clearing] = []


def before_removal(clear: Clearing) -> Clearing:
    """Register what removes the many things of an application before it is removed itself, in transactions of its own.

    The application goes in one transaction, and whatever still belongs to it in the same one.
    """
    _clearing.append(clear)
    return clear


def remove_application(application: Application, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """Remove an application with its checks. The journal keeps its facts.

    Thousands of checks go in small transactions before it. When that is cut off, the application is still there with
    the others, and can be removed again.

    Raises:
        NotAllowed, Managed.
    """
    actor.need(CATALOG_EDIT)
    need_unmanaged(f"The application {application.name}", application.managed_by, by_file)
    for clear in _clearing:
        clear(application, actor, at)
    with transaction.atomic():
        leaving = held(application, f"The application {application.name}", by_file, leaving=True)
        write(facts.APPLICATION_REMOVED, subject(leaving), actor, at)
        leaving.delete()
        Revision.bump("checks")


def spec_of(application: Application) -> ApplicationSpec:
    """Return the application as people write it."""
    environments = application.environments.order_by("id")
    components = application.components.order_by("id").prefetch_related("dependencies__needs__application")
    return ApplicationSpec.model_validate(
        {
            "name": application.name,
            "tier": application.tier,
            "description": application.description,
            "owner": application.owner.name if application.owner else None,
            "repository": application.repository,
            "links": application.links,
            "environments": [{"name": row.name, "url": row.url} for row in environments],
            "components": [
                {
                    "name": row.name,
                    "description": row.description,
                    "needs": [_name_from(row, dependency) for dependency in row.dependencies.all()],
                }
                for row in components
            ],
        }
    )


def _name_from(component: Component, dependency: Dependency) -> str:
    needs = dependency.needs
    return needs.name if needs.application_id == component.application_id else str(needs)


def _owner(spec: ApplicationSpec) -> Team | None:
    if spec.owner is None:
        return None
    owner = Team.objects.filter(name=spec.owner).first()
    if owner is None:
        raise Refused(f"no team named {spec.owner} exists", "owner")
    return owner


def _put_parts(application: Application, spec: ApplicationSpec) -> None:
    for kind, parts in (("environments", spec.environments), ("components", spec.components)):
        names = [part.name for part in parts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Refused(f"the name {twice[0]} is given twice", kind)
    application.environments.exclude(name__in=[part.name for part in spec.environments]).delete()
    for environment in spec.environments:
        Environment.objects.update_or_create(
            application=application, name=environment.name, defaults={"url": environment.url}
        )
    application.components.exclude(name__in=[part.name for part in spec.components]).delete()
    for component in spec.components:
        Component.objects.update_or_create(
            application=application, name=component.name, defaults={"description": component.description}
        )
