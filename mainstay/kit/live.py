"""Pages that stay current: one view renders the page, and alone the part of it that changes.

A template defines that part with `{% partialdef live %}` around `<div id="live" {% include "components/live.html" %}>`
and shows it with `{{ live }}`. The browser asks again every few seconds and says which state it has seen; as long as
nothing changed it gets 204 and keeps what it shows: focus, an open detail, the readout of a chart.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from mainstay.foundation import clock

_SEEN = "@seen@"
# The browser itself keeps relative times current, and a form's token differs each time it is written.
_PASSING = re.compile(r'(?<=>)[^<]*(?=</time>)|(?<=name="csrfmiddlewaretoken" value=")[^"]*')


def live(
    request: HttpRequest, template: str, context: dict[str, Any], *, part: str = "live", also: Sequence[str] = ()
) -> HttpResponse:
    """Return the page; to htmx asking for `#<part>` only that part, or 204 when the browser shows it already.

    The context gets `now`, and `fragment`: only the part is asked for.

    Args:
        also: further parts that keep themselves current on their own, such as a chart that changes with every result.
    """
    context = {"now": clock.now(), "fragment": is_fragment(request, part), **context}
    parts: dict[str, SafeString] = {}
    for name in (part, *also):
        alone = is_fragment(request, name)
        if not alone and any(is_fragment(request, other) for other in (part, *also)):
            continue
        html = render_to_string(f"{template}#{name}", {**context, **parts, **_attributes(request)}, request)
        digest = hashlib.sha256(_PASSING.sub("", html).encode()).hexdigest()[:16]
        if alone and request.headers.get("X-Seen") == digest:
            return HttpResponse(status=204)
        parts[name] = mark_safe(html.replace(_SEEN, digest))  # noqa: S308 - rendered by a template
        if alone:
            return _fresh(HttpResponse(parts[name]))
    return _fresh(render(request, template, {**context, **parts}))


def _attributes(request: HttpRequest) -> dict[str, str]:
    return {"seen": _SEEN, "live_url": request.get_full_path()}


def _fresh(response: HttpResponse) -> HttpResponse:
    response.headers["Vary"] = "HX-Request, HX-Target, Cookie"
    return response


def is_fragment(request: HttpRequest, part: str = "live") -> bool:
    """Tell whether htmx asks for one part of the page only."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Target") == part
