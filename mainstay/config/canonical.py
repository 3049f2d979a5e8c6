"""Specs as documents in which equal meaning is equal text: no defaults, no order where none counts, secrets hidden.

Plans compare these documents, exports print them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, SecretStr

from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.secrets import MASK
from mainstay.observe.checks.actions import DEFAULT_FAIL_AFTER, DEFAULT_RECOVER_AFTER
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.spec import Common as CheckFields
from mainstay.observe.checks.spec import MaintenanceSpec
from mainstay.observe.metrics.spec import ScrapeSpec, default_timeout_s, short
from mainstay.respond.alerts.routes import default_name
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery.spec import Common as ChannelFields
from mainstay.respond.rules.spec import RuleGroupSpec

Written = dict[str, Any]
_RULE_FIELDS = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
_AFTER_KIND = ("every", "timeout", "fail_after", "recover_after", "severity", "labels", "runbook", "paused", "needs")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A secret in a document: compared by what it is, shown as a mask."""

    value: str

    def __repr__(self) -> str:
        return MASK


def written(model: BaseModel) -> Written:
    """Return what of a model differs from its defaults, as JSON-ready data with each secret hidden."""
    found: Written = _hide(model, model.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    return found


def masked(value: Any) -> Any:
    """Return a document with the mask in place of each secret."""
    if isinstance(value, Hidden):
        return MASK
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def team(spec: TeamSpec) -> Written:
    """Return a team as a document."""
    return _without_empty({"name": spec.name, "email": spec.email, "members": sorted(spec.members)})


def application(spec: ApplicationSpec) -> Written:
    """Return an application, without its checks, as a document."""
    document = written(spec)
    for component in document.get("components", ()):
        if "needs" in component:
            component["needs"] = own_needs(component["needs"], spec.name)
    return _without_empty({name: document.get(name) for name in ApplicationSpec.model_fields})


def check(spec: CheckFields, of: str) -> Written:
    """Return a check of the application `of` as a document."""
    plain = normal_check(spec)
    document = written(plain)
    document["needs"] = own_needs(plain.needs, of)
    order = ("name", "environment", "component", plain.kind, *_AFTER_KIND)
    # The kind stays even when it holds nothing but defaults: it says what the check is.
    return _without_empty({name: document.get(name) for name in order}, keep=plain.kind)


def normal_check(spec: CheckFields) -> CheckFields:
    """Return the spec with thresholds that are the kind's defaults left open, as the actions keep them."""
    passive = KINDS[spec.kind].passive
    fail, recover = (1, 1) if passive else (DEFAULT_FAIL_AFTER, DEFAULT_RECOVER_AFTER)
    return spec.model_copy(
        update={
            "fail_after": None if spec.fail_after == fail else spec.fail_after,
            "recover_after": None if spec.recover_after == recover else spec.recover_after,
        }
    )


def channel(spec: ChannelFields) -> Written:
    """Return a channel as a document."""
    document = written(spec)
    return _without_empty({name: document.get(name) for name in ("name", spec.kind, "paused")}, keep=spec.kind)


def route(spec: RouteSpec) -> Written:
    """Return a route as a document; a name that would be made anyway is left out."""
    document = written(spec)
    if spec.name == default_name(spec):
        document.pop("name", None)
    return _without_empty({name: document.get(name) for name in RouteSpec.model_fields})


def maintenance(spec: MaintenanceSpec) -> Written:
    """Return a maintenance window as a document; times in UTC."""
    document = written(spec)
    for key in ("starts_at", "ends_at"):
        at: datetime | None = getattr(spec, key)
        if at is not None:
            document[key] = at.isoformat().replace("+00:00", "Z")
    return _without_empty({name: document.get(name) for name in MaintenanceSpec.model_fields})


def scrape(spec: ScrapeSpec) -> Written:
    """Return a scrape as a document; a timeout that would hold anyway is left out."""
    document = written(spec)
    if spec.timeout == default_timeout_s(spec.every):
        document.pop("timeout", None)
    return short(_without_empty({name: document.get(name) for name in ScrapeSpec.model_fields}))


def rules(spec: RuleGroupSpec) -> Written:
    """Return a group of rules as a document."""
    document = written(spec)
    document["rules"] = [
        _without_empty({shown: rule.get(shown) for shown in _RULE_FIELDS}) for rule in document.get("rules", ())
    ]
    return _without_empty({name: document.get(name) for name in RuleGroupSpec.model_fields})


def own_needs(needs: list[str], of: str) -> list[str]:
    """Return names of what is needed in one form and order: those of the application `of` without its name."""
    return sorted({name.removeprefix(f"{of}/") for name in needs})


def flat(document: Written) -> dict[str, Any]:
    """Return a document as path → leaf. Environments and components go by their names: their order does not count."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key == "rules":
            for number, rule in enumerate(value):
                title = rule.get("alert") or rule.get("record")
                found |= {f"rules[{number}:{title}].{name}": item for name, item in rule.items()}
        elif key in {"environments", "components"}:
            for part in value:
                here = f"{key}[{part['name']}]"
                inner = {name: item for name, item in part.items() if name != "name"}
                found |= {f"{here}.{name}": item for name, item in inner.items()} if inner else {here: {}}
        elif key != "name":
            found |= _leaves(value, key)
    return found


def _leaves(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _leaves(item, f"{path}.{key}")
    return found


def _without_empty(document: Mapping[str, Any], keep: str = "") -> Written:
    return {name: value for name, value in document.items() if name == keep or value not in (None, [], {}, "")}


def _hide(value: Any, dumped: Any) -> Any:
    """Walk a model and its dump side by side, since only the model knows which of its texts are secrets."""
    if isinstance(value, SecretStr):
        return Hidden(value.get_secret_value())
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        names = {
            (info.serialization_alias or info.alias or name): name for name, info in type(value).model_fields.items()
        }
        return {shown: _hide(getattr(value, names[shown]), item) for shown, item in dumped.items()}
    if isinstance(value, Mapping) and isinstance(dumped, dict):
        return {name: _hide(value.get(name), item) for name, item in dumped.items()}
    if isinstance(value, list | tuple) and isinstance(dumped, list) and len(value) == len(dumped):
        return [_hide(one, item) for one, item in zip(value, dumped, strict=True)]
    return dumped
