"""Checks and maintenance, as files and the API have them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.resource import (
    By,
    Edge,
    Loc,
    Named,
    Resource,
    Use,
    Written,
    in_full,
    in_present_order,
    own_names,
    shortened,
)
from mainstay.observe.checks import actions
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.checks.spec import CheckSpec, Common, MaintenanceSpec

_AFTER_KIND = ("every", "timeout", "fail_after", "recover_after", "severity", "labels", "runbook", "paused", "needs")


class Checks(Resource[Common]):
    """Checks, each within its application."""

    kind, section, order, spec = "check", "checks", 25, CheckSpec
    title, listed = "Checks", "list of [checks](#checks)"
    within = "application"
    kinds = KINDS
    secrets = tuple(KINDS)
    examples = (
        {
            "name": "storefront",
            "environment": "production",
            "component": "storefront",
            "http": {"url": "http://127.0.0.1:9001/", "bearer": "sesame-opens-the-door", "expect": {"status": 200}},
            "every": "5s",
            "fail_after": 2,
            "severity": "critical",
            "labels": {"team": "payments"},
        },
        {"name": "nightly", "heartbeat": {"every": "1d", "grace": "30m"}},
    )

    def rows(self) -> QuerySet[Check]:
        return _whole(Check.objects.order_by("application__name", "name"))

    def find(self, name: str) -> Check | None:
        application, _, own = name.partition("/")
        return _whole(Check.objects.filter(application__name=application, name=own)).first()

    def read(self, row: Any) -> Common:
        return actions.spec_of(row)

    def name_of(self, row: Any) -> str:
        return str(row)

    def stored(self, row: Any) -> Mapping[str, Any]:
        return {row.kind: row.config}

    def shown(self, row: Any) -> dict[str, Any]:
        return actions.shown_spec(row)

    def sealed(self) -> Iterator[tuple[str, str, Any]]:
        for application, name, kind, config in Check.objects.values_list("application__name", "name", "kind", "config"):
            yield f"{application}/{name}", kind, config

    def problems(self, spec: Common) -> Iterator[tuple[Loc, str]]:
        if refusal := actions.kind_refusal(spec.kind):
            yield (spec.kind,), refusal

    def document(self, spec: Common, of: str = "") -> Written:
        plain = _normal(spec)
        order = ("name", "environment", "component", plain.kind, *_AFTER_KIND)
        # The kind stays even when it holds nothing but defaults: it says what the check is.
        return shortened(plain, order, keep=plain.kind, needs=own_names(plain.needs, of))

    def uses(self, name: str, spec: Common) -> Iterator[Use]:
        of = name.partition("/")[0]
        for kind, part in (("environment", spec.environment), ("component", spec.component)):
            if part is not None:
                yield Use(kind, f"{of}/{part}", (kind,), of=of)
        for number, needed in enumerate(spec.needs):
            yield Use("check", in_full(needed, of), ("needs", number))

    def edges(self, name: str, spec: Common) -> Iterator[Edge]:
        yield Edge(name, _needs(Named(name, spec)), ("needs",))

    def arranged(self, items: Sequence[Named[Common]]) -> Sequence[Named[Common]]:
        """Put each after those that it needs; the plan has refused circles."""
        waiting = {item.name: item for item in items}
        ordered: list[Named[Common]] = []
        for item in items:
            stack = [item.name] if item.name in waiting else []
            while stack:
                first = [name for name in _needs(waiting[stack[-1]]) if name in waiting and name not in stack]
                if first:
                    stack.append(first[0])
                else:
                    ordered.append(waiting.pop(stack.pop()))
        return ordered

    def put(self, name: str, spec: Common, by: By, position: int | None = None) -> bool:
        of = name.partition("/")[0]
        existing, needs = self.find(name), own_names(spec.needs, of)
        present = actions.needed_names(existing) if existing is not None else []
        whole = _normal(spec).model_copy(update={"needs": in_present_order(needs, present)})
        application = existing.application if existing is not None else Application.objects.get(name=of)
        check = actions.put_check(application, whole, by.actor, by.at, existing=existing, by_file=by.file, needs=False)
        if sorted(present) == needs:
            return False
        actions.set_needs(check, needs, look_for_cycle=False)
        return True

    def settle(self) -> None:
        """Refuse a circle: people may have added the other half of one since the plan was made."""
        actions.refuse_cycle()

    def delete(self, row: Any, by: By) -> None:
        actions.remove_check(row, by.actor, by.at, by_file=row.managed_by and by.file)


class Windows(Resource[MaintenanceSpec]):
    """Maintenance that is announced and not called off."""

    kind, section, order, spec = "maintenance", "maintenance", 60, MaintenanceSpec
    title, listed = "Maintenance", "list of [maintenance windows](#maintenance)"
    about = (
        "A window is single (`starts_at`, `ends_at`) or recurring (`cron`, `duration`). What `match` and `matchers`"
        " mean: [matching](matching.md)."
    )
    examples = ({"name": "Restart", "match": {"component": "database"}, "cron": "0 3 * * 0", "duration": "2h"},)

    def rows(self) -> QuerySet[Maintenance]:
        return Maintenance.objects.filter(cancelled_at=None).select_related("application").order_by("name", "id")

    def read(self, row: Any) -> MaintenanceSpec:
        return actions.spec_of_window(row)

    def ends_at(self, row: Any) -> datetime | None:
        return row.ends_at if isinstance(row.ends_at, datetime) else None

    def document(self, spec: MaintenanceSpec, of: str = "") -> Written:
        times = {
            name: at.isoformat().replace("+00:00", "Z")
            for name in ("starts_at", "ends_at")
            if (at := getattr(spec, name)) is not None
        }
        return shortened(spec, **times)

    def uses(self, name: str, spec: MaintenanceSpec) -> Iterator[Use]:
        if spec.application is not None:
            yield Use("application", spec.application, ("application",))

    def save(self, spec: MaintenanceSpec, by: By, existing: Any | None = None) -> Maintenance:
        window = actions.window_for(spec)
        return actions.announce(window, by.actor, by.at, existing=existing, by_file=by.file)

    def remove(self, name: str, by: By) -> None:
        for row in Maintenance.objects.filter(name=name, managed_by=by.file, cancelled_at=None):
            self.delete(row, by)

    def delete(self, row: Any, by: By) -> None:
        actions.cancel(row, by.actor, by.at, by_file=by.file)


CHECKS, WINDOWS = Checks(), Windows()


def _whole(checks: QuerySet[Check]) -> QuerySet[Check]:
    """Return checks with all that makes up their documents, read at once."""
    needed = Prefetch("needs", Check.objects.select_related("application").order_by("id"))
    return checks.select_related("application", "environment", "component").prefetch_related(needed)


def _needs(item: Named[Common]) -> list[str]:
    of = item.name.partition("/")[0]
    return [in_full(needed, of) for needed in own_names(item.spec.needs, of)]


def _normal(spec: Common) -> Common:
    """Return the spec with thresholds that are the kind's defaults left open, as the actions keep them."""
    fail, recover = actions.default_thresholds(spec.kind)
    return spec.model_copy(
        update={
            "fail_after": None if spec.fail_after == fail else spec.fail_after,
            "recover_after": None if spec.recover_after == recover else spec.recover_after,
        }
    )
