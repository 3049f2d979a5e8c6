"""The journal's pages: find a fact, prove that nobody changed it."""

from typing import Any
from zoneinfo import ZoneInfo

import orjson
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from mainstay.foundation.accounts.access import needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.kinds import KINDS
from mainstay.foundation.journal.models import Entry, Seal
from mainstay.foundation.journal.pages import search
from mainstay.foundation.journal.pages.lines import line
from mainstay.foundation.journal.seal import prove, verify_newest
from mainstay.foundation.journal.subjects import subject_url
from mainstay.kit.lists import by_key, chips, choice, columns, cursor, export, page_between, search_box, with_query
from mainstay.kit.live import live
from mainstay.kit.nav import trail

UNSEALED_SHOWN = 1_000
COLUMNS: dict[str, Any] = {
    **columns("id=pk at kind"),
    "sentence": lambda e: e.sentence(),
    **columns("subject subject_name application actor actor_name facts seal=seal_id"),
}


@needs(OPERATIONS_VIEW, "GET")
def journal(request: HttpRequest) -> HttpResponseBase:
    """List facts, newest first, with filters; or export them."""
    wanted, problems = search.read(request.GET, _zone())
    file = export(
        request,
        "journal",
        COLUMNS,
        (entry for entry in by_key(search.entries(wanted), 2_000) if search.says(entry, wanted)),
    )
    if file is not None:
        return file
    before, after = cursor(request)
    found = search.find(wanted, before=before, after=after)
    applications = list(Application.objects.order_by("name").values_list("pk", "name"))
    by_number = [(str(number), name) for number, name in applications]
    context: dict[str, Any] = {
        "entries": [line(entry) for entry in found.entries],
        "page": page_between(request, found.entries, newer=found.newer, older=found.older),
        "reached": found.reached,
        "further": with_query(request, before=found.reached.pk, after=None) if found.reached else "",
        "problems": problems,
        "wanted": wanted,
        "filtered": wanted != search.Search(),
        "filters": [
            search_box("Text in the sentence", wanted.text),
            choice("kind", "Any kind", wanted.kind, sorted(KINDS)),
            choice("application", "Any application", str(wanted.application or ""), by_number),
        ],
        "since": request.GET.get("since", ""),
        "until": request.GET.get("until", ""),
        "chips": _chips(request, wanted, dict(applications)),
        "newest": Seal.objects.order_by("-id").only("id", "sealed_at").first(),
        "unsealed": Entry.objects.filter(seal=None)[: UNSEALED_SHOWN + 1].count(),
        "unsealed_shown": UNSEALED_SHOWN,
    }
    return live(request, "journal/journal.html", context)


def _chips(request: HttpRequest, wanted: search.Search, applications: dict[int, str]) -> list[dict[str, str]]:
    shown: dict[str, str] = {
        "subject": wanted.subject and f"about {wanted.subject.replace(':', ' ')}",
        "actor": wanted.actor and f"by {wanted.actor.replace(':', ' ')}",
        "kind": wanted.kind,
        "application": applications.get(wanted.application or 0, ""),
        "since": f"since {request.GET['since']}" if wanted.since else "",
        "until": f"until {request.GET['until']}" if wanted.until else "",
        "q": wanted.text and f"“{wanted.text}”",
    }
    return chips(request, shown)


@needs(OPERATIONS_VIEW, "GET")
def entry(request: HttpRequest, entry_id: int) -> HttpResponseBase:
    """Show one fact with its seal, and whether it is still what was sealed."""
    row = get_object_or_404(Entry.objects.select_related("seal"), pk=entry_id)
    proof = prove(row.pk, bytes(row.seal.leaves) if row.seal else None)
    context = {
        "entry": row,
        "line": line(row),
        "subject_href": subject_url(row.subject, row.subject_name),
        "facts": orjson.dumps(row.facts, option=orjson.OPT_INDENT_2).decode(),
        "terms": [(name.replace("_", " "), _shown(value)) for name, value in row.facts.items() if name != "steps"],
        "steps": [
            dict(zip(("question", "passed", "detail"), step, strict=False)) for step in row.facts.get("steps") or []
        ],
        "proof": proof,
        "seal_digest": bytes(row.seal.digest).hex() if row.seal else "",
        "application": Application.objects.filter(pk=row.application).first() if row.application else None,
        **trail("journal"),
        "newer": Entry.objects.filter(pk__gt=entry_id).order_by("pk").values_list("pk", flat=True).first(),
        "older": Entry.objects.filter(pk__lt=entry_id).order_by("-pk").values_list("pk", flat=True).first(),
    }
    return render(request, "journal/entry.html", context)


@needs(OPERATIONS_VIEW, "POST")
def verify_now(request: HttpRequest) -> HttpResponseBase:
    """Recompute the newest seals (as many as take a moment) and say what was found."""
    found = verify_newest()
    return render(request, "journal/verified.html", {"found": found, "place": "journal"})


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)


def _zone() -> ZoneInfo:
    return ZoneInfo(timezone.get_current_timezone_name())
