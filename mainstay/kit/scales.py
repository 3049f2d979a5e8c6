"""How numbers, durations and times are written, and where an axis has its ticks: pure functions, no Django."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

NBSP = "\N{NO-BREAK SPACE}"
LIMIT = 1e300
_SMALLEST = 1e-290


@dataclass(frozen=True, slots=True)
class Scale:
    """How the values of one axis are written: `value / divisor`, then `suffix`."""

    divisor: float
    suffix: str


_SCALES: dict[str, tuple[Scale, ...]] = {
    "ms": (Scale(1, "ms"), Scale(1e3, "s"), Scale(6e4, "min"), Scale(3.6e6, "h"), Scale(8.64e7, "d")),
    "s": (Scale(1e-3, "ms"), Scale(1, "s"), Scale(60, "min"), Scale(3600, "h"), Scale(86400, "d")),
    "%": (Scale(1, "%"),),
    "bytes": tuple(Scale(1024.0**i, u) for i, u in enumerate(("B", "KiB", "MiB", "GiB", "TiB", "PiB"))),
    "bytes/s": tuple(Scale(1024.0**i, f"{u}/s") for i, u in enumerate(("B", "KiB", "MiB", "GiB"))),
    "/s": (Scale(1, "/s"), Scale(1e3, "k/s"), Scale(1e6, "M/s")),
    "": (Scale(1, ""), Scale(1e3, "k"), Scale(1e6, "M"), Scale(1e9, "G"), Scale(1e12, "T")),
}


def known(value: float | None) -> float | None:
    """Return a number a chart can calculate with: within ±1e300, 0 below 1e-290, None for None, NaN and infinities."""
    if value is None or not math.isfinite(value):
        return None
    size = abs(value)
    if size < _SMALLEST:
        return 0.0
    return value if size <= LIMIT else math.copysign(LIMIT, value)


def scale_for(top: float, unit: str) -> Scale:
    """Choose the largest scale of `unit` that `top` reaches; an unlisted unit is its own scale."""
    scales = _SCALES.get(unit, (Scale(1, unit),))
    for scale in reversed(scales):
        if scale.divisor <= top:
            return scale
    return scales[0]


def write_number(value: float) -> str:
    """Write a number with about three significant digits and thousands separated: 6.25, 61.4, 412, 12,400."""
    size = abs(value)
    if size >= 1e6 or 0 < size < 0.01:
        return f"{value:.3g}"
    text = f"{value:,.{2 if size < 10 else 1 if size < 100 else 0}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def write_percent(value: float) -> str:
    """Write a percentage to two decimals, cut rather than rounded: 99.999 is "99.99", only 100 is "100"."""
    if 0 < value < 0.01:
        return "<0.01"
    cut = math.floor(value * 100 + 1e-6) / 100
    return f"{min(cut, 99.99) if value < 100 else cut:.2f}".rstrip("0").rstrip(".")


def write_value(value: float | None, unit: str) -> tuple[str, str]:
    """Return the number and the unit to print for `value`; a missing value is ("–", "")."""
    v = known(value)
    if v is None:
        return "–", ""
    if unit == "%":
        return write_percent(v), "%"
    scale = scale_for(abs(v), unit) if v else Scale(1, {"bytes": "B", "bytes/s": "B/s"}.get(unit, unit))
    return write_number(v / scale.divisor), scale.suffix


def quantity(value: float | None, unit: str) -> str:
    """Write a value with its unit: "412 ms", "1.9 s", "99.98 %"; a missing value is "–"."""
    number, suffix = write_value(value, unit)
    return f"{number}{NBSP}{suffix}" if suffix else number


def value_ticks(low: float, high: float, *, about: int = 4) -> list[float]:
    """Return evenly spaced ticks, 1, 2 or 5 times a power of ten apart, that enclose `low` and `high`."""
    size = max(abs(low), abs(high))
    if high - low <= max(size * 1e-9, _SMALLEST):  # too close together for floats to tell ticks apart
        pad = max(0.5, size * 1e-3)
        low, high = (low - pad, high + pad) if size else (0.0, 1.0)
    span = high - low
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((m * power for m in (1, 2, 5) if m * power >= raw * (1 - 1e-9)), 10 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_STEPS_DAYS = (1, 2, 7, 14)
_STEPS_MONTHS = (1, 3, 6, 12, 24, 60, 120)


def time_ticks(start: float, end: float, zone: tzinfo, *, at_most: int = 7) -> list[tuple[float, str]]:
    """Return (unix seconds, label) at round wall-clock times of `zone`, midnight as a date.

    A wall-clock time a spring transition skips has no tick; one that an autumn transition repeats has one, at its
    first occurrence.
    """
    span = end - start
    if span <= 0:
        return []
    local = datetime.fromtimestamp(start, zone).replace(tzinfo=None)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    step_s = next((s for s in _STEPS_S if span / s <= at_most), None)
    step_days = next((d for d in _STEPS_DAYS if span / (d * 86400) <= at_most), None)
    if step_s:
        since_midnight = (local - midnight).total_seconds()
        first = midnight + timedelta(seconds=math.ceil(since_midnight / step_s) * step_s)
        walls = [first + timedelta(seconds=i * step_s) for i in range(at_most + 3)]
    elif step_days:
        behind = midnight.toordinal() % step_days
        first = midnight + timedelta(days=(step_days - behind) % step_days)
        walls = [first + timedelta(days=i * step_days) for i in range(at_most + 3)]
    else:
        months = next((m for m in _STEPS_MONTHS if span / (m * 2_629_800) <= at_most), _STEPS_MONTHS[-1])
        begin = (local.year * 12 + local.month - 1) // months * months
        walls = [
            datetime(m // 12, m % 12 + 1, 1)  # noqa: DTZ001 - wall-clock time, given its zone below
            for m in range(begin, begin + months * (at_most + 3), months)
            if m // 12 < 9999
        ]
    ticks: list[tuple[float, str]] = []
    for wall in walls:
        at = wall.replace(tzinfo=zone).timestamp()
        exists = datetime.fromtimestamp(at, zone).replace(tzinfo=None) == wall
        if exists and start <= at <= end and (not ticks or at > ticks[-1][0]):
            ticks.append((at, _tick_label(wall, step_s, by_month=not (step_s or step_days))))
    return ticks


def _tick_label(wall: datetime, step_s: int | None, *, by_month: bool) -> str:
    if by_month:
        return f"{wall:%Y}" if wall.month == 1 else f"{wall:%b}"
    if step_s is None or (step_s >= 60 and wall.hour == wall.minute == 0):
        return f"{wall.day}{NBSP}{wall:%b}"
    return f"{wall:%H:%M:%S}" if step_s < 60 else f"{wall:%H:%M}"
