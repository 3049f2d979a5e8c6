"""`{% load mainstay %}`: the components of the interface. `mainstay/kit/README.md` lists them all."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from django import template
from django.forms import BaseForm, BoundField, CheckboxInput, PasswordInput
from django.forms.widgets import CheckboxSelectMultiple, RadioSelect, Select
from django.template.context import Context
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from mainstay.foundation.words.names import zones
from mainstay.foundation.words.text import is_web_link
from mainstay.foundation.words.text import named as shorten
from mainstay.kit import charts, nav, rows
from mainstay.kit.forms import Form, SpecForm

register = template.Library()

_STATIC = Path(__file__).resolve().parent.parent / "static" / "mainstay"

STYLESHEETS = (
    "tokens", "base", "layout", "shell", "bare", "button", "badge", "card", "chart", "code", "decision", "dialog",
    "empty", "filters", "form", "menu", "meter", "pagination", "palette", "stat", "status", "table", "tabs", "timeline",
    "toast", "print",
)  # fmt: skip
"""The files of `static/mainstay/css`, in the order of the cascade."""


def _now(context: Context) -> datetime:
    now = context.get("now")
    return now if isinstance(now, datetime) else timezone.now()


# --- the shell ------------------------------------------------------------------------------------------------------


@register.simple_tag
def stylesheets() -> SafeString:
    """Link every component's stylesheet."""
    return format_html_join(
        "\n", '<link rel="stylesheet" href="{}">', ((static(f"mainstay/css/{s}.css"),) for s in STYLESHEETS)
    )


@cache
def _icon(name: str) -> str:
    return (_STATIC / "icons" / f"{name}.svg").read_text().strip()


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw an icon of `static/mainstay/icons` in the colour of the text; it is decoration, so name it beside."""
    return mark_safe(_icon(name))  # noqa: S308 - our own file


@register.simple_tag(takes_context=True)
def places(context: Context) -> Mapping[str, object]:
    """Return the places that the person may open, with the present one marked: `{% places as nav %}`."""
    return nav.open_to(context.get("request"), context.get("place"))


# --- small parts ----------------------------------------------------------------------------------------------------

register.simple_tag(rows.status, name="status")
register.simple_tag(rows.duration, name="duration")
register.simple_tag(rows.quantity, name="quantity")
register.simple_tag(rows.managed_by, name="managed_by")
register.simple_tag(rows.sentence, name="sentence")
register.filter("duration_text", rows.write_duration)


@register.simple_tag(takes_context=True)
def when(context: Context, at: datetime | float | None, *, clock: bool = False, missing: str = "never") -> SafeString:
    """Show an instant relative to the context's `now` (or the present one)."""
    return rows.when(at, _now(context), clock=clock, missing=missing)


@register.simple_tag
def outside(url: str, text: str = "", classes: str = "link", *, id: str = "", icon_name: str = "") -> SafeString:
    """Link to an address that people or other programs gave: `{% outside alert.runbook "Runbook" "button" %}`.

    Only http and https become a link; anything else (javascript:, data:, plain words) is shown as the text that it is.
    """
    if not is_web_link(url):
        said = f"{text}: {url}" if text and url else url
        return format_html('<span class="not-a-link">{}</span>', shorten(said)) if url else SafeString("")
    return format_html(
        '<a class="{}"{} href="{}" rel="noopener noreferrer">{}{}</a>',
        classes,
        format_html(' id="{}"', id) if id else "",
        url,
        icon(icon_name) if icon_name else "",
        text or url,
    )


@register.simple_tag
def kbd(keys: str) -> SafeString:
    """Show keys to press: `{% kbd "Ctrl K" %}`."""
    return format_html_join(" ", "<kbd>{}</kbd>", ((key,) for key in keys.split()))


@register.simple_tag
def badge(text: str, title: str = "") -> SafeString:
    """Show a small neutral label."""
    return format_html('<span class="badge" title="{}">{}</span>', title, text) if title else _plain_badge(text)


def _plain_badge(text: str) -> SafeString:
    return format_html('<span class="badge">{}</span>', text)


@register.simple_tag
def meter(value: float, maximum: float = 100, *, label: str, tone: str = "accent") -> SafeString:
    """Show a share of a whole as a thin bar; `label` says in words what it shows."""
    return format_html(
        '<progress class="meter tone-{}" value="{}" max="{}" aria-label="{}">{}</progress>',
        tone,
        f"{value:g}",
        f"{maximum:g}",
        label,
        label,
    )


@register.simple_tag
def code(text: str, *, label: str = "") -> SafeString:
    """Show a command or a snippet with a button that copies it."""
    what = f"Copy {label}" if label else "Copy"
    return format_html(
        '<div class="code"><pre tabindex="0"><code>{}</code></pre>'
        '<button type="button" class="quiet small" data-copy aria-label="{}">Copy</button></div>',
        text.strip("\n"),
        what,
    )


@register.simple_tag
def uptime_bar(days: Sequence[charts.Day], title: str = "Uptime") -> SafeString:
    """Draw an uptime bar from `charts.Day`s, oldest first."""
    return mark_safe(charts.uptime_bar(days, title=title))  # noqa: S308 - charts escape


@register.simple_tag
def sparkline(values: Sequence[float | None], tone: str = "accent", label: str = "") -> SafeString:
    """Draw a small course of values."""
    return mark_safe(charts.sparkline(values, tone=tone, label=label))  # noqa: S308 - charts escape


# --- blocks ---------------------------------------------------------------------------------------------------------


@register.simple_block_tag
def card(content: str, title: str = "", note: str = "", *, id: str = "", tone: str = "", flush: bool = False) -> str:
    """Frame content: `{% card "Due" "SLA clocks" %}…{% endcard %}`; `flush` lets a table reach the edges."""
    classes = "card" + (f" edge tone-{tone}" if tone else "") + (" flush" if flush else "")
    small = format_html(" <small>{}</small>", note) if note else ""
    head = format_html("<h2>{}{}</h2>", title, small) if title else ""
    named = format_html(' id="{}"', id) if id else ""
    return format_html('<section class="{}"{}>{}{}</section>', classes, named, head, content)


@register.simple_block_tag
def dialog(content: str, id: str, title: str) -> str:
    """Hold content until a button with `data-opens="<id>"` shows it, as a native dialog."""
    return render_to_string("components/dialog.html", {"id": id, "title": title, "content": content})


@register.simple_block_tag
def empty(content: str, title: str, command: str = "", *, icon_name: str = "", level: int = 2) -> str:
    """Say that nothing is here yet and what to do next, with a command to copy."""
    return render_to_string(
        "components/empty.html",
        {"title": title, "content": content, "command": command, "icon_name": icon_name, "level": level},
    )


# --- tables and lists -----------------------------------------------------------------------------------------------


@register.simple_tag(takes_context=True)
def th(context: Context, label: str, sort: str = "", *, num: bool = False, hide: str = "") -> SafeString:
    """Head a column; with `sort` a plain link that sorts by it, up and then down (`?sort=name`, `?sort=-name`).

    `hide` is "phone" or "narrow": the width below which the column is left out.
    """
    classes = " ".join(c for c in ("num" if num else "", f"hide-{hide}" if hide else "") if c)
    shown = format_html(' class="{}"', classes) if classes else ""
    request = context.get("request")
    if not sort or request is None:
        return format_html('<th scope="col"{}>{}</th>', shown, label)
    now = request.GET.get("sort") or context.get("sort") or ""
    order = "ascending" if now == sort else "descending" if now == f"-{sort}" else ""
    query = request.GET.copy()
    query["sort"] = f"-{sort}" if order == "ascending" else sort
    for name in ("before", "after"):
        query.pop(name, None)
    return format_html(
        '<th scope="col"{}{}><a href="?{}">{}{}</a></th>',
        shown,
        format_html(' aria-sort="{}"', order) if order else "",
        query.urlencode(),
        label,
        format_html('<span aria-hidden="true">{}</span>', "↑" if order == "ascending" else "↓") if order else "",
    )


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: object) -> str:
    """Return the present query string with some values changed (None removes one): `href="{% query page=2 %}"`."""
    request = context.get("request")
    data: dict[str, list[str]] = dict(request.GET.lists()) if request else {}
    for name, value in changes.items():
        if value is None or value == "":
            data.pop(name, None)
        else:
            data[name] = [str(value)]
    return "?" + urlencode(data, doseq=True)


@register.simple_tag(takes_context=True)
def exports(context: Context, label: str = "", second: str = "json") -> SafeString:
    """Link to the files of a list, with all of its pages: `{% exports "All that match:" %}`."""
    said = format_html('<span class="muted">{}</span> ', label) if label else ""
    links = format_html_join(
        "",
        '<a class="button quiet small" href="{}">{}</a>',
        (
            (query(context, page=None, before=None, after=None, format=kind), word)
            for kind, word in (("csv", "CSV"), (second, {"json": "JSON", "jsonl": "JSON lines"}[second]))
        ),
    )
    return format_html('<p class="exports">{}{}</p>', said, links)


# --- forms ----------------------------------------------------------------------------------------------------------


@register.simple_tag
def field(bound: BoundField, *, stored: bool = False, label: str = "", suffix: str = "") -> SafeString:
    """Show one field of a form: label, input, help, and the error beside it.

    A secret that is set is never shown: its empty input keeps it, and a box below removes it where that may be.
    """
    widget = bound.field.widget
    if str(widget.attrs.get("placeholder", "")).lower() == str(bound.label).lower():
        del widget.attrs["placeholder"]  # it would only say the label again
    form = bound.form
    stored = stored or (isinstance(form, Form) and form.is_stored(bound.name))
    clear = form.clear_box(bound.name) if isinstance(form, Form) and not bound.field.disabled else None
    if stored:
        widget.attrs["placeholder"] = "stored" if bound.field.disabled else "stored; type to replace"
    chosen = isinstance(widget, Select) and all(value for value, _ in widget.choices)  # something is, in any case
    context = {
        "field": bound,
        "optional": not (bound.field.required or stored or chosen),
        "label": label or bound.label,
        "suffix": suffix,
        "stored": stored,
        "clear": clear,
        "tick": isinstance(widget, CheckboxInput),
        "group": isinstance(widget, (CheckboxSelectMultiple, RadioSelect)),
        "secret": isinstance(widget, PasswordInput) and not bound.field.disabled,
        "zones": zones() if widget.attrs.get("list") == "zones" else (),
    }
    return mark_safe(render_to_string("components/field.html", context))  # noqa: S308 - rendered by a template


@register.simple_tag
def fields(form: BaseForm, *, errors: bool = True) -> SafeString:
    """Show a whole form: its errors (unless the page has them), then its fields; one made from a spec in its groups."""
    context = {"errors": form.non_field_errors() if errors else [], "hidden": form.hidden_fields()}
    if isinstance(form, SpecForm):
        context |= {"groups": form.drawn()}
    else:
        context |= {"fields": form.visible_fields()}
    return mark_safe(render_to_string("components/fields.html", context))  # noqa: S308 - rendered by a template
