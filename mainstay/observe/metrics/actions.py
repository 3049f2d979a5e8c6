"""What people do with scrapes: permission, change and journal entry in one transaction."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.held import held
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.refusal import Refused
from mainstay.foundation.resource import differences, read_or_none
from mainstay.foundation.secrets import mask_all, sealed_config, unseal_all
from mainstay.foundation.words.durations import format_duration
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.observe.metrics import facts
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.spec import ScrapeSpec, default_timeout_s, short

REVISION = "scrapes"


def subject(scrape: Scrape) -> Subject:
    """Return the scrape as the journal names it."""
    return Subject("scrape", scrape.pk, scrape.name, scrape.application_id)


@transaction.atomic
def put_scrape(
    spec: ScrapeSpec, actor: Actor, at: datetime, *, existing: Scrape | None = None, by_file: str = ""
) -> Scrape:
    """Create a scrape, or make an existing one what `spec` says; return it.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(CHECKS_EDIT)
    scrape = existing or Scrape(created_at=at)
    if existing is not None:
        scrape = held(existing, f"The scrape {existing.name}", by_file)
    if Scrape.objects.filter(name=spec.name).exclude(pk=scrape.pk).exists():
        raise Refused(f"a scrape named {spec.name} exists already", "name", conflict=True)
    was = read_or_none(spec_of, scrape) if existing is not None else None
    was_paused = scrape.paused
    _fill(scrape, spec)
    scrape.managed_by = by_file
    if existing is None:
        scrape.save(force_insert=True)
        write(facts.SCRAPE_CREATED, subject(scrape), actor, at, target=scrape.target)
    else:
        scrape.version = F("version") + 1
        scrape.save()
        scrape.refresh_from_db(fields=["version"])
        changed = differences(was, spec)
        if changed:
            write(facts.SCRAPE_EDITED, subject(scrape), actor, at, fields=changed)
        if was_paused != spec.paused:
            write(facts.SCRAPE_PAUSED if spec.paused else facts.SCRAPE_RESUMED, subject(scrape), actor, at)
    Revision.bump(REVISION)
    return scrape


@transaction.atomic
def remove_scrape(scrape: Scrape, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """Remove a scrape; its series end, and what was measured stays as long as metrics are kept.

    Raises:
        NotAllowed, Managed.
    """
    actor.need(CHECKS_EDIT)
    scrape = held(scrape, f"The scrape {scrape.name}", by_file, leaving=True)
    write(facts.SCRAPE_REMOVED, subject(scrape), actor, at)
    scrape.delete()
    Revision.bump(REVISION)


@transaction.atomic
def pause(scrape: Scrape, actor: Actor, at: datetime, *, paused: bool) -> None:
    """Stop or resume scraping. Allowed for scrapes that a file manages, too: at night it must be possible.

    Raises:
        NotAllowed.
    """
    actor.need(MAINTENANCE_EDIT)
    if Scrape.objects.filter(pk=scrape.pk, paused=not paused).update(paused=paused, version=F("version") + 1):
        write(facts.SCRAPE_PAUSED if paused else facts.SCRAPE_RESUMED, subject(scrape), actor, at)
        Revision.bump(REVISION)


def settings_of(scrape: Scrape) -> ScrapeSettings:
    """Return how the scrape finds and asks its targets, secrets opened.

    Raises:
        pydantic.ValidationError, LostKey: what is stored cannot be used.
    """
    return ScrapeSettings.model_validate(unseal_all(scrape.config, settings.SECRET_KEY))


def spec_of(scrape: Scrape) -> ScrapeSpec:
    """Return the scrape as people write it, secrets opened (mask before showing: `shown_spec`).

    Raises:
        pydantic.ValidationError, LostKey: what is stored cannot be used.
    """
    return ScrapeSpec.model_validate(_document(scrape, unseal_all(scrape.config, settings.SECRET_KEY)))


def shown_spec(scrape: Scrape) -> dict[str, Any]:
    """Return the scrape as a document for people and programs: secrets masked, defaults left out."""
    document = _document(scrape, mask_all(scrape.config))
    return short({name: value for name, value in document.items() if value not in (None, [], {}, "", False)}) | {
        name: False for name, value in scrape.config.items() if value is False
    }


def _document(scrape: Scrape, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": scrape.name,
        "application": scrape.application.name if scrape.application else None,
        "environment": scrape.environment.name if scrape.environment else None,
        "every": format_duration(scrape.every_s),
        "timeout": format_duration(scrape.timeout_s) if scrape.timeout_s != default_timeout_s(scrape.every_s) else None,
        "labels": scrape.labels,
        "paused": scrape.paused,
        **config,
    }


def _fill(scrape: Scrape, spec: ScrapeSpec) -> None:
    sealed = sealed_config(spec, settings.SECRET_KEY)
    scrape.name = spec.name
    scrape.config = {name: sealed[name] for name in ScrapeSettings.model_fields if name in sealed}
    scrape.target = spec.target
    scrape.every_s, scrape.timeout_s = spec.every, spec.timeout_s
    scrape.labels, scrape.paused = spec.labels, spec.paused
    scrape.application = scrape.environment = None
    if spec.application is not None:
        scrape.application = Application.objects.filter(name=spec.application).first()
        if scrape.application is None:
            raise Refused(f"no application named {spec.application} exists", "application")
        if spec.environment is not None:
            scrape.environment = scrape.application.environments.filter(name=spec.environment).first()
            if scrape.environment is None:
                raise Refused(f"{spec.application} has no environment named {spec.environment}", "environment")
