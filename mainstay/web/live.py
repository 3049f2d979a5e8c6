"""Pages that stay current: one view renders the page, and alone the part of it that changes.

A template defines that part with `{% partialdef live %}` around `<div id="live" {% include "components/live.html" %}>`
and shows it with `{{ live }}`. The browser asks again every few seconds and says which state it has seen; as long as
nothing changed it gets 204 and keeps what it shows: focus, an open detail, the readout of a chart.
"""

import hashlib
import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

_SEEN = "@seen@"
# The browser itself keeps relative times current, and a form's token differs each time it is written.
_PASSING = re.compile(r'(?<=>)[^<]*(?=</time>)|(?<=name="csrfmiddlewaretoken" value=")[^"]*')


def live(request: HttpRequest, template: str, context: dict[str, Any], *, part: str = "live") -> HttpResponse:
    """Return the page; to htmx asking for `#<part>` only that part, or 204 when the browser shows it already."""
    context = {**context, "seen": _SEEN, "live_url": request.get_full_path()}
    html = render_to_string(f"{template}#{part}", context, request)
    digest = hashlib.sha256(_PASSING.sub("", html).encode()).hexdigest()[:16]
    html = html.replace(_SEEN, digest)
    if is_fragment(request, part):
        if request.headers.get("X-Seen") == digest:
            return HttpResponse(status=204)
        response = HttpResponse(html)
    else:
        response = render(request, template, {**context, part: mark_safe(html)})  # noqa: S308 - rendered above
    response.headers["Vary"] = "HX-Request, HX-Target, Cookie"
    response.headers["Cache-Control"] = "no-store"
    return response


def is_fragment(request: HttpRequest, part: str = "live") -> bool:
    """Tell whether htmx asks for one part of the page only."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Target") == part
