"""What people do with checks and maintenance: permission, change and journal entry in one transaction."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import F, Model
from pydantic import BaseModel, ValidationError

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import utc_text
from mainstay.foundation.graph import find_cycle
from mainstay.foundation.held import held
from mainstay.foundation.journal.kinds import Instant
from mainstay.foundation.journal.write import Fact, Subject, write, write_all
from mainstay.foundation.pieces import let_others_write, pieces
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.refusal import Gone, Refused, need_unmanaged
from mainstay.foundation.resource import differences, read_or_none, without_empty
from mainstay.foundation.secrets import LostKey, mask_all, seal, sealed_config, unseal_all
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks import facts, heartbeats
from mainstay.observe.checks.heartbeats import RhythmSettings
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.models import (
    Check,
    CheckState,
    Downtime,
    Hour,
    Maintenance,
    Ping,
    Result,
    key_digest,
    sealed_key,
)
from mainstay.observe.checks.spec import CheckSpec, Common, MaintenanceSpec
from mainstay.observe.checks.windows import Window, validate
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT

DEFAULT_FAIL_AFTER, DEFAULT_RECOVER_AFTER = 3, 2
REMOVED_AT_ONCE = 25  # checks in one transaction
ROWS_REMOVED_AT_ONCE = 5_000  # of their results, hours and pings


def subject(check: Check) -> Subject:
    """Return the check as the journal names it."""
    return Subject("check", check.pk, str(check), check.application_id)


class UnknownKind(ValueError):
    """A check is of a kind that this version does not have: a plug-in was removed, or newer data meets older code."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"there is no kind of check called {kind!r} here; there are {', '.join(KINDS)}")


UNUSABLE = (ValidationError, LostKey, UnknownKind)


def settings_of(check: Check) -> BaseModel:
    """Return the settings of the check's kind, secrets opened.

    Raises:
        UNUSABLE: what is stored cannot be used.
    """
    if check.kind not in KINDS:
        raise UnknownKind(check.kind)
    return KINDS[check.kind].Settings.model_validate(unseal_all(check.config, django_settings.SECRET_KEY))


def kind_refusal(kind: str) -> str:
    """Return why checks of this kind cannot work here, and how to mend it; "" when they can."""
    return KINDS[kind].refusal(django_settings.ENVIRONMENT)


@transaction.atomic
def put_check(
    application: Application,
    spec: Common,
    actor: Actor,
    at: datetime,
    *,
    existing: Check | None = None,
    by_file: str = "",
    needs: bool = True,
) -> Check:
    """Create a check, or make an existing one what `spec` says; return it.

    A file's checks are put with `needs` false, and `set_needs` is called when all exist.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(CHECKS_EDIT)
    check = Check(application=application, created_at=at)
    if existing is not None:
        check = held(existing, f"The check {existing}", by_file)
    if (existing is None or check.kind != spec.kind) and (refusal := kind_refusal(spec.kind)):
        raise Refused(refusal, spec.kind)
    if Check.objects.filter(application=application, name=spec.name).exclude(pk=check.pk).exists():
        raise Refused(f"{application.name} has a check named {spec.name} already", "name", conflict=True)
    was = read_or_none(spec_of, check) if existing is not None else None
    watched, was_paused = (check.kind, check.target), check.paused
    _fill(check, application, spec)
    check.managed_by = by_file
    if existing is None:
        check.save(force_insert=True)
        CheckState.objects.create(check_ref=check, due_at=_due_anew(check, at))
        write(facts.CHECK_CREATED, subject(check), actor, at, kind=check.kind, target=check.target)
    else:
        changed = differences(was, spec) if was is not None else [spec.kind]
        check.version = F("version") + 1
        check.save()
        check.refresh_from_db(fields=["version"])
        if changed:
            write(facts.CHECK_EDITED, subject(check), actor, at, fields=changed)
            if was_paused != spec.paused:
                write(facts.CHECK_PAUSED if spec.paused else facts.CHECK_RESUMED, subject(check), actor, at)
                _forget(check, at)
            elif watched != (check.kind, check.target):
                write(facts.CHECK_RESET, subject(check), actor, at, reason="what it watches was changed")
                _forget(check, at)
            elif check.passive:
                _reschedule(check)
    if needs:
        set_needs(check, spec.needs)
    Revision.bump("checks")
    return check


@transaction.atomic
def set_needs(check: Check, names: Iterable[str], *, look_for_cycle: bool = True) -> None:
    """Set the checks that `check` needs; a cycle is refused, naming it.

    Whoever sets the needs of many checks looks for a cycle once, at the end (`refuse_cycle`): each look reads them all.

    Raises:
        Refused: an unknown check, or a cycle.
    """
    wanted = []
    for name in names:
        owner, _, rest = name.rpartition("/")
        needed = Check.objects.filter(application__name=owner or check.application.name, name=rest).first()
        if needed is None:
            raise Refused(f"no check named {name} exists", "needs")
        if needed.pk == check.pk:
            raise Refused("a check cannot need itself", "needs")
        wanted.append(needed)
    if {needed.pk for needed in wanted} == set(check.needs.values_list("pk", flat=True)):
        return
    Revision.bump("checks")  # before reading: two who each add half of a circle queue here
    check.needs.set(wanted)
    if look_for_cycle:
        refuse_cycle()


def refuse_cycle() -> None:
    """Raise `Refused` if checks need each other in a circle, naming it."""
    edges: dict[str, list[str]] = {}
    through = Check.needs.through.objects.values_list(
        "from_check__application__name", "from_check__name", "to_check__application__name", "to_check__name"
    )
    for one_application, one, other_application, other in through:
        edges.setdefault(f"{one_application}/{one}", []).append(f"{other_application}/{other}")
    cycle = find_cycle(edges)
    if cycle:
        raise Refused(f"the dependencies form a cycle: {' → '.join(cycle)}. Remove one of them.", "needs")


def remove_check(check: Check, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """Remove a check and its results; an alert of it is resolved by whoever hears of the removal.

    Raises:
        NotAllowed, Managed.
    """
    actor.need(CHECKS_EDIT)
    need_unmanaged(f"The check {check}", check.managed_by, by_file)
    _clear([check.pk])
    with transaction.atomic():
        _lock_states([check.pk])
        _remove([held(check, f"The check {check}", by_file, leaving=True).pk], actor, at)


def clear_checks_of(application: Application, actor: Actor, at: datetime) -> None:
    """Remove the checks of an application that is about to be removed, in small transactions, each check whole."""
    numbers = list(Check.objects.filter(application=application).order_by("id").values_list("pk", flat=True))
    for piece in pieces(numbers, REMOVED_AT_ONCE):
        _clear(piece)
        _remove(piece, actor, at)


def remove_checks_of(application: int, actor: Actor, at: datetime) -> None:
    """Remove the checks that an application still has, in the transaction in which it is removed."""
    _remove(list(Check.objects.filter(application=application).values_list("pk", flat=True)), actor, at)


_KEPT_OF_A_CHECK: tuple[type[Model], ...] = (Result, Hour, Ping)


def _clear(checks: Sequence[int]) -> None:
    """Delete most of what was kept of checks, before they are removed: it may be millions of rows."""
    for model in _KEPT_OF_A_CHECK:
        while True:
            some = model._default_manager.filter(check_ref__in=checks).values_list("pk")[:ROWS_REMOVED_AT_ONCE]
            began = time.monotonic()
            if model._default_manager.filter(pk__in=some).delete()[0] < ROWS_REMOVED_AT_ONCE:
                break
            if not transaction.get_connection().in_atomic_block:
                let_others_write(time.monotonic() - began)


@transaction.atomic
def _remove(checks: Sequence[int], actor: Actor, at: datetime) -> None:
    _lock_states(checks)
    rows = Check.objects.filter(pk__in=checks).select_related("application").order_by("id")
    write_all(Fact(facts.CHECK_REMOVED, subject(check), actor, at, {}) for check in rows)
    for model in _KEPT_OF_A_CHECK:
        model._default_manager.filter(check_ref__in=checks).delete()
    Check.objects.filter(pk__in=checks).delete()
    Revision.bump("checks")


def _lock_states(checks: Sequence[int]) -> None:
    """Their states first, as whoever writes results locks them, so that neither waits for the other for ever."""
    list(CheckState.objects.select_for_update().filter(pk__in=checks).order_by("pk").values_list("pk"))


@transaction.atomic
def pause(check: Check, actor: Actor, at: datetime, *, paused: bool) -> None:
    """Stop or resume probing and paging. Allowed for checks that a file manages, too: at night it must be possible.

    Raises:
        NotAllowed.
    """
    actor.need(MAINTENANCE_EDIT)
    if not Check.objects.filter(pk=check.pk, paused=not paused).update(paused=paused, version=F("version") + 1):
        return
    write(facts.CHECK_PAUSED if paused else facts.CHECK_RESUMED, subject(check), actor, at)
    _forget(check, at)
    Revision.bump("checks")


def _reschedule(check: Check) -> None:
    """A heartbeat's grace or limit was changed: when it is due follows from its last ping and its new settings."""
    state = CheckState.objects.get(pk=check.pk)
    since = max(filter(None, (state.pinged_at, state.since, check.created_at)))
    CheckState.objects.filter(pk=check.pk).update(due_at=_due_anew(check, since, state.started_at))


def _due_anew(check: Check, since: datetime, started_at: datetime | None = None) -> datetime | None:
    if not check.passive:
        return None
    try:
        settings = settings_of(check)
    except UNUSABLE:
        return None  # the monitor says so when it loads the check
    return heartbeats.due_at(heartbeats.rhythm_of(cast(RhythmSettings, settings)), since, started_at)


def _forget(check: Check, at: datetime) -> None:
    """What a check was no longer counts once it is paused, resumed or watches something else."""
    Downtime.objects.filter(check_ref=check, ended_at=None).update(ended_at=at)
    CheckState.objects.filter(pk=check.pk).update(
        health="unknown", since=at, message="", failures=0, answers=0, warnings=0, successes=0, history=0,
        flapping=False, first_bad_at=None, blocked_by=None, started_at=None,
        due_at=_due_anew(check, at), changes=F("changes") + 1,
    )  # fmt: skip


@transaction.atomic
def announce(
    window: Window, actor: Actor, at: datetime, *, existing: Maintenance | None = None, by_file: str = ""
) -> Maintenance:
    """Announce maintenance, or change what was announced.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(MAINTENANCE_EDIT)
    validate(window)
    row = Maintenance(created_at=at, created_by=actor.name)
    if existing is not None:
        row = held(existing, f"The maintenance {existing.name}", by_file)
        if row.cancelled_at is not None:
            raise Gone(f"The maintenance {row.name}")
    row.name, row.application_id, row.match = window.name, window.application, window.match.stored()
    row.starts_at, row.ends_at = window.starts_at, window.ends_at
    row.cron, row.duration_s, row.time_zone = window.cron, window.duration.total_seconds() or None, window.zone
    row.managed_by, row.cancelled_at = by_file, None
    row.save()
    once = {"starts_at": window.starts_at, "ends_at": window.ends_at}
    said = " to ".join(utc_text(moment) for moment in once.values() if moment is not None)
    instants = {name: Instant.of(moment) if moment is not None else None for name, moment in once.items()}
    when = f"{window.cron} ({window.zone})" if window.cron else said
    about = Subject("maintenance", row.pk, row.name, row.application_id)
    write(facts.MAINTENANCE_ANNOUNCED, about, actor, at, when=when, **instants)
    return row


def window_for(spec: MaintenanceSpec) -> Window:
    """Return the window that a spec describes.

    Raises:
        Refused: its application does not exist.
    """
    if spec.application is None:
        return spec.window(None)
    application = Application.objects.filter(name=spec.application).first()
    if application is None:
        raise Refused(f"there is no application {spec.application}", "application")
    return spec.window(application.pk)


def spec_of_window(row: Maintenance) -> MaintenanceSpec:
    """Return maintenance as people write it."""
    wanted = Matchers.of(row.match)
    return MaintenanceSpec(
        name=row.name,
        application=row.application.name if row.application else None,
        match=wanted.match,
        matchers=wanted.matchers,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        cron=row.cron or None,
        duration=row.duration_s,
        timezone=row.time_zone,
    )


@transaction.atomic
def cancel(row: Maintenance, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """End or call off maintenance.

    Raises:
        NotAllowed, Managed.
    """
    actor.need(MAINTENANCE_EDIT)
    row = held(row, f"The maintenance {row.name}", by_file)
    if Maintenance.objects.filter(pk=row.pk, cancelled_at=None).update(cancelled_at=at):
        write(facts.MAINTENANCE_CANCELLED, Subject("maintenance", row.pk, row.name, row.application_id), actor, at)


def spec_of(check: Check) -> Common:
    """Return the check as people write it, secrets opened (mask before showing: `shown_spec`)."""
    return CheckSpec.model_validate(_document(check, unseal_all(check.config, django_settings.SECRET_KEY)))


def shown_spec(check: Check) -> dict[str, Any]:
    """Return the check as a document for people and programs: secrets masked, defaults left out.

    The key that a heartbeat's settings give is shown as the address that it is part of.
    """
    config = mask_all(check.config)
    if check.passive and isinstance(config, dict) and "key" in config:
        config |= {"key": str(check.ping_key)}
    return without_empty(_document(check, config))


def _document(check: Check, config: Any) -> dict[str, Any]:
    defaults = default_thresholds(check.kind)
    return {
        "name": check.name,
        "environment": check.environment.name if check.environment else None,
        "component": check.component.name if check.component else None,
        check.kind: config,
        "every": check.every_s,
        "timeout": check.timeout_s,
        "fail_after": check.fail_after if check.fail_after != defaults[0] else None,
        "recover_after": check.recover_after if check.recover_after != defaults[1] else None,
        "severity": check.severity,
        "labels": check.labels,
        "runbook": check.runbook,
        "paused": check.paused,
        "needs": needed_names(check),
    }


def needed_names(check: Check) -> list[str]:
    """Return the names of what a check needs, those of its own application without the application's."""
    return [row.name if row.application_id == check.application_id else str(row) for row in _needs(check)]


def _needs(check: Check) -> Iterable[Check]:
    if not check.pk:
        return ()
    if "needs" in getattr(check, "_prefetched_objects_cache", {}):  # by whoever reads many, with the applications
        return check.needs.all()
    return check.needs.select_related("application").order_by("id")


def default_thresholds(kind: str) -> tuple[int, int]:
    """Return after how many failures, and successes, a check of this kind changes, unless it says so itself."""
    return (1, 1) if kind in KINDS and KINDS[kind].passive else (DEFAULT_FAIL_AFTER, DEFAULT_RECOVER_AFTER)


def _fill(check: Check, application: Application, spec: Common) -> None:
    defaults = default_thresholds(spec.kind)
    check.name, check.kind = spec.name, spec.kind
    check.config = sealed_config(spec.settings, django_settings.SECRET_KEY)
    key = getattr(spec.settings, "key", None)
    if key is not None:
        check.config["key"] = seal(str(key), django_settings.SECRET_KEY)
    if key is not None and key != check.ping_key:
        if Check.objects.filter(ping_digest=key_digest(key)).exclude(pk=check.pk).exists():
            raise Refused("another check has this ping address", f"{spec.kind}.key", conflict=True)
        check.ping_sealed = sealed_key(key)
    check.target = KINDS[spec.kind].target(spec.settings)[:500]
    check.every_s, check.timeout_s = spec.every, spec.timeout
    check.fail_after = spec.fail_after if spec.fail_after is not None else defaults[0]
    check.recover_after = spec.recover_after if spec.recover_after is not None else defaults[1]
    check.severity, check.labels, check.runbook, check.paused = spec.severity, spec.labels, spec.runbook, spec.paused
    check.environment = check.component = None
    if spec.environment is not None:
        check.environment = application.environments.filter(name=spec.environment).first()
        if check.environment is None:
            raise Refused(f"{application.name} has no environment named {spec.environment}", "environment")
    if spec.component is not None:
        check.component = application.components.filter(name=spec.component).first()
        if check.component is None:
            raise Refused(f"{application.name} has no component named {spec.component}", "component")
