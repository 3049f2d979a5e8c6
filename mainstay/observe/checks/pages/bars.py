"""Uptime as pages show it: days in words for the bar that is read, drawn shapes for lists."""

from datetime import datetime
from functools import lru_cache

from django.utils.safestring import SafeString, mark_safe

from mainstay.kit import charts
from mainstay.kit.rows import write_duration
from mainstay.observe.checks.uptime.timeline import (
    Calendar,
    Course,
    Fared,
    Share,
    Spans,
    fraction,
    per_day,
    share,
    uptimes,
)

WINDOWS_S = (("24 hours", 86_400.0), ("7 days", 7 * 86_400.0), ("30 days", 30 * 86_400.0), ("90 days", 90 * 86_400.0))


def days(of: Fared, calendar: Calendar) -> list[charts.Day]:
    """Return one strip per day with its words."""
    return [
        charts.Day(f"{day:%a} {day.day} {day:%b}", one.uptime, detail(one))
        for day, one in zip(calendar.days, per_day(of, calendar), strict=True)
    ]


def detail(of: Share) -> str:
    """Say what a share's percentage leaves out: how long down, how long degraded."""
    parts = [
        f"{write_duration(seconds)} {word}"
        for seconds, word in ((of.down_s, "down"), (of.degraded_s, "degraded"))
        if seconds >= 1
    ]
    return ", ".join(parts)


def small_bar(of: Fared, calendar: Calendar) -> SafeString:
    """Draw the bar of a list's row, without words for the pointer: equal ones are drawn once."""
    midnight = calendar.edges[-2]
    if (
        isinstance(of, Course)
        and len(of.known) == 1
        and of.known[0][1] > midnight
        and not (of.down and of.down[-1][1] > midnight)
    ):  # nothing of it changes until the day is over
        return _steady(of.known[0][0], of.down, calendar.edges)
    return _drawn(uptimes(of, calendar.edges))


@lru_cache(maxsize=4096)
def _steady(begin: float, down: Spans, edges: tuple[float, ...]) -> SafeString:
    return _drawn(uptimes(Course(((begin, edges[-1]),), down), edges))


@lru_cache(maxsize=4096)
def _drawn(shares: tuple[float | None, ...]) -> SafeString:
    strips = [charts.Day("", one) for one in shares]
    return mark_safe(charts.uptime_bar(strips, title=f"Uptime, {len(strips)} days", readout=False))  # noqa: S308 - drawn


def percent(of: Fared, start: float, end: float) -> float | None:
    """Return the uptime in per cent, or None."""
    found = fraction(of, start, end)
    return None if found is None else found * 100


def windows(of: Fared, now: datetime) -> list[dict[str, object]]:
    """Return uptime over the usual stretches, each with the words beside it."""
    end = now.timestamp()
    out: list[dict[str, object]] = []
    for label, length_s in WINDOWS_S:
        one = share(of, end - length_s, end)
        whole = "" if one.known_s >= length_s * 0.999 or not one.known_s else f"measured {write_duration(one.known_s)}"
        words = ", ".join(part for part in (detail(one), whole) if part)
        up = one.uptime
        out.append(
            {
                "label": f"Uptime, {label}",
                "value": None if up is None else up * 100,
                "detail": words or ("no downtime" if up is not None else "no data"),
                "tone": "quiet" if up is None else "bad" if up < 0.99 else "warn" if up < 1 else "ok",
            }
        )
    return out
