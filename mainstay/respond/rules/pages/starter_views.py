"""The page of the starter rules."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.refusal import Refused
from mainstay.kit.nav import trail
from mainstay.kit.replies import done
from mainstay.observe.checks.wing import CHECKS_EDIT
from mainstay.respond.rules import actions
from mainstay.respond.rules.files.starter_pack import packs
from mainstay.respond.rules.files.write import group_document
from mainstay.respond.rules.models import RuleGroup
from mainstay.respond.rules.spec import RuleGroupSpec


@dataclass(frozen=True, slots=True)
class Offer:
    """One pack as the page shows it."""

    name: str
    title: str
    needs: str
    alerts: tuple[str, ...]
    added: bool


@needs(CHECKS_EDIT, "GET")
def starter(request: HttpRequest) -> HttpResponseBase:
    """List the packs and what each of them needs."""
    known = set(RuleGroup.objects.values_list("name", flat=True))
    offers = [
        Offer(
            pack.name,
            pack.title,
            pack.needs,
            tuple(rule.alert for group in pack.groups for rule in group.rules if rule.is_alert),
            all(group.name in known for group in pack.groups),
        )
        for pack in packs()
    ]
    return render(request, "rules/starter.html", {"offers": offers, **trail("rules")})


@needs(CHECKS_EDIT, "POST")
def add(request: HttpRequest, pack: str) -> HttpResponseBase:
    """Add the groups of a pack that are not there yet."""
    chosen = next((each for each in packs() if each.name == pack), None)
    if chosen is None:
        raise Http404
    known = set(RuleGroup.objects.values_list("name", flat=True))
    added = 0
    try:
        for group in chosen.groups:
            if group.name not in known:
                spec = RuleGroupSpec.model_validate(group_document(group))
                actions.put_group(spec, actor_of(request), clock.now())
                added += len(spec.rules)
    except Refused as refused:
        return done(request, f"{refused.detail}.", reverse("rule_starter"), tone="bad")
    if not added:
        return done(request, f"The rules for {chosen.title} are there already.", reverse("rules"), tone="warn")
    return done(request, f"{added} rules for {chosen.title} are evaluated from now on.", reverse("rules"))
