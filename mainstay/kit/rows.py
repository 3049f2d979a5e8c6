"""The small parts every page repeats, as escaped HTML built without a template: status, time, duration, table rows.

The template tags of `templatetags/mainstay.py` call these same functions, so a status looks alike in a page, a live
fragment and a list of a thousand rows. Escaping happens here: arguments are plain text unless they say HTML.
"""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from html import escape as escape_any

from django.utils import timezone
from django.utils.safestring import SafeString

from mainstay.foundation.wing import Look
from mainstay.kit.scales import NBSP, write_value

STATES: dict[str, Look] = {
    "unknown": Look("unknown", "quiet", "○", "no result yet"),
    "critical": Look("critical", "bad", "■", "the system is down"),
    "major": Look("major", "warn", "▲", "part of the system is degraded"),
    "minor": Look("minor", "quiet", "◆", "low priority"),
    "failed": Look("failed", "bad", "✗", "did not succeed"),
    "scheduled": Look("scheduled", "quiet", "○", "begins later"),
    "active": Look("active", "accent", "◐", "in force now"),
    "ended": Look("ended", "quiet", "✓", "is over"),
    "proven": Look("proven", "ok", "✓", "shown to be so"),
    "inconclusive": Look("inconclusive", "quiet", "?", "not enough evidence either way"),
}
"""Every state the interface shows, those of the wings included (the desk adds them); `css/status.css` draws one shape
per key."""
TONES = ("ok", "warn", "bad", "accent", "quiet")
_TROUBLE = {"degraded", "down", "unreachable", "pending", "firing", "acknowledged"}
_UNLISTED = Look("unknown", "quiet", "○", "")


_SPECIAL = re.compile("[&<>\"']")


def escape(text: str) -> str:
    """Escape a text; most have nothing to be escaped, and a list has thousands."""
    return escape_any(text) if _SPECIAL.search(text) else text


@lru_cache(maxsize=1024)
def status(state: str, label: str = "", *, plain: bool = False, calm: bool = False) -> SafeString:
    """Show a state as shape, word and soft colour; `plain` leaves the ground off, `calm` the colour as well.

    `label` replaces the word where the fact is finer: `status("major", "52 min left")`. A state not in `STATES` shows
    the shape of unknown with its own word, never a good one.
    """
    look = STATES.get(state, _UNLISTED)
    key = state if state in STATES else "unknown"
    word = label or (look.word if state in STATES else state or "unknown")
    extra = " plain calm" if calm else " plain" if plain else ""
    return SafeString(f'<span class="status is-{key}{extra}">{escape(word)}</span>')


def relative(seconds: float) -> str:
    """Write how long ago, to one unit; a negative number lies ahead. `mainstay.js` follows the same rule."""
    size = abs(seconds)
    if size < 5:
        return "just now" if seconds >= 0 else "now"
    for limit, unit_s, unit in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (math.inf, 86400, "d")):
        if size < limit:
            words = f"{math.floor(size / unit_s)}{NBSP}{unit}"
            break
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def absolute(at: datetime) -> str:
    """Write an instant in full in the present time zone: "Wed 12 Mar 2025, 07:11:09 CET"."""
    return _absolute(at, timezone.get_current_timezone())


def _absolute(at: datetime, zone: tzinfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M:%S %Z}"


@lru_cache(maxsize=4096)
def _marked(second: int, zone: tzinfo) -> str:
    """Return the attributes of an instant; in a list of a thousand checks many were looked at in the same second."""
    at = datetime.fromtimestamp(second, UTC)
    return f'datetime="{at.isoformat()[:19]}Z" title="{_absolute(at, zone)}"'


def when(at: datetime | float | None, now: datetime, *, clock: bool = False, missing: str = "never") -> SafeString:
    """Show an instant: relative and kept current by the browser, or (`clock`) the time of day; absolute on hover."""
    if at is None:
        return SafeString(f'<span class="faint">{escape(missing)}</span>')
    moment, zone = _moment(at), timezone.get_current_timezone()
    if clock:
        text, live = f"{moment.astimezone(zone):%H:%M}", ""
    else:
        text, live = relative((now - moment).total_seconds()), " data-live"
    marked = _marked(math.floor(moment.timestamp()), zone)
    return SafeString(f"<time {marked}{live}>{text}</time>")


def in_minutes(span: timedelta) -> str:
    """Write a length of time in whole minutes, so that a page is not another one with every second."""
    minutes = int(span.total_seconds() // 60)
    return write_duration(minutes * 60) if minutes else "less than a minute"


def write_duration(seconds: float | None) -> str:
    """Write a length of time in its two greatest units: "412 ms", "1.9 s", "7 min 12 s", "3 h 05 min", "2 d 4 h"."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 0:
        return f"−{write_duration(-seconds)}"
    if seconds < 60:
        number, unit = write_value(seconds, "s")
        # 59.96 s would be written "60 s"; let the next unit say it.
        if not (unit == "s" and number == "60"):
            return f"{number}{NBSP}{unit or 's'}"
    whole = math.floor(seconds + 0.5)
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}{NBSP}min {rest}{NBSP}s" if rest else f"{minutes}{NBSP}min"
    if whole < 86400:
        hours, minutes = whole // 3600, whole % 3600 // 60
        return f"{hours}{NBSP}h {minutes:02d}{NBSP}min" if minutes else f"{hours}{NBSP}h"
    days, hours = whole // 86400, whole % 86400 // 3600
    return f"{days}{NBSP}d {hours}{NBSP}h" if hours else f"{days}{NBSP}d"


def duration(seconds: float | None) -> SafeString:
    """Show a length of time given in seconds."""
    return SafeString(f'<span class="q">{write_duration(seconds)}</span>')


def quantity(value: float | None, unit: str) -> SafeString:
    """Show a number with its unit: "ms", "s", "%", "bytes", "/s", "" or any other unit as given."""
    number, suffix = write_value(value, unit)
    tail = f"<small>{NBSP}{escape(suffix)}</small>" if suffix else ""
    return SafeString(f'<span class="q">{number}{tail}</span>')


def sentence(text: str, subject: str = "", href: str = "", verb: str = "") -> SafeString:
    """Show a fact's sentence with its subject as a link and, where the verb occurs as a word, in bold."""
    before, found, after = text.partition(subject) if subject else (text, "", "")
    link = f'<a href="{escape(href)}">{escape(found)}</a>' if found and href else escape(found)
    parts = [_bold(part, verb) for part in (before, after)]
    return SafeString(f"{parts[0]}{link}{parts[1]}")


def _bold(text: str, verb: str) -> str:
    if not verb:
        return escape(text)
    pieces = re.split(rf"\b({re.escape(verb)})\b", text, maxsplit=1)
    return "".join(f"<b>{escape(p)}</b>" if i == 1 else escape(p) for i, p in enumerate(pieces))


@lru_cache(maxsize=256)
def managed_by(source: str) -> SafeString:
    """Show that a file, not this page, decides about an object; empty when nothing manages it."""
    if not source:
        return SafeString("")
    return SafeString(
        f'<span class="badge" title="Managed by {escape(source)}: change the file and run mainstay apply">'
        f'file<span class="visually-hidden">: managed by {escape(source)}</span></span>'
    )


def check_row(
    *,
    href: str,
    name: str,
    state: str,
    now: datetime,
    application: str = "",
    environment: str = "",
    kind: str = "",
    target: str = "",
    severity: str = "",
    duration_s: float | None = None,
    uptime_percent: float | None = None,
    uptime_html: str = "",
    last_at: datetime | float | None = None,
    since: datetime | float | None = None,
    source: str = "",
) -> str:
    """Build one row of the list of checks as HTML; the head is `components/check_head.html`.

    `uptime_html` is a drawn bar or sparkline of `charts.py`, already HTML; `source` is the file that manages the
    check. Everything else is text and is escaped.
    """
    where = " · ".join(escape(part) for part in (application, environment) if part)
    held = (
        f'<span class="hide-phone">for {write_duration((now - _moment(since)).total_seconds())}</span>' if since else ""
    )
    # How grave it would be is no news while all is well.
    grave = status(severity, plain=True, calm=state not in _TROUBLE) if severity else ""
    shown = status(state)
    return (
        f'<tr data-row><td class="state hide-phone"><span class="pair">{shown}{held}</span></td>'
        f'<td class="name"><a href="{escape(href)}">{escape(name)}</a>{managed_by(source)}'
        f'<span class="under"><span class="only-phone">{shown}</span><small>{where}</small></span></td>'
        f'<td class="hide-narrow"><span class="kind">{escape(kind)}</span>'
        f'<span class="target">{escape(target)}</span></td>'
        f'<td class="hide-narrow">{grave}</td>'
        f'<td class="hide-phone bar">{uptime_html}</td>'
        f'<td class="num hide-phone">{quantity(uptime_percent, "%")}</td>'
        f'<td class="num">{quantity(duration_s, "s")}</td>'
        f'<td class="num hide-phone">{when(last_at, now)}</td></tr>'
    )


def alert_row(
    *,
    href: str,
    name: str,
    state: str,
    now: datetime,
    severity: str = "",
    summary: str = "",
    application: str = "",
    environment: str = "",
    since: datetime | float | None = None,
    owner: str = "",
    routes: str = "",
) -> str:
    """Build one row of the list of alerts as HTML; the head is `components/alert_head.html`. All arguments are text."""
    where = " · ".join(escape(part) for part in (application, environment) if part)
    grave = status(severity, plain=True, calm=state not in _TROUBLE) if severity else ""
    shown = status(state)
    return (
        f'<tr data-row><td class="state hide-phone">{shown}</td>'
        f'<td class="name"><a href="{escape(href)}">{escape(name)}</a>'
        f'<span class="under"><span class="only-phone">{shown}</span><small>{escape(summary)}</small></span></td>'
        f'<td class="hide-phone">{grave}</td>'
        f'<td class="hide-narrow">{where}</td>'
        f'<td class="hide-narrow">{escape(owner) or NOBODY}</td>'
        f'<td class="hide-narrow">{escape(routes)}</td>'
        f'<td class="num">{when(since, now)}</td></tr>'
    )


NOBODY = '<span class="faint">nobody</span>'


def _moment(at: datetime | float) -> datetime:
    return datetime.fromtimestamp(at, UTC) if isinstance(at, (int, float)) else at


def join(rows: Iterable[str]) -> SafeString:
    """Join rows built by this module into one piece of HTML a template prints as it is."""
    return SafeString("".join(rows))
