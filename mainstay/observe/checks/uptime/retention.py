"""How long results are kept: single ones for MAINSTAY_RESULTS_KEPT, hourly figures for 400 days.

What is old is told by the stored results, not by the clock alone (`trusted`): a clock that is wrong for a while
deletes nothing.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Max, Min

from mainstay.foundation.clock import utc_text
from mainstay.foundation.processes import notices
from mainstay.foundation.store import moment
from mainstay.observe.checks.models import Hour, Ping, Result

HOURS_KEPT = timedelta(days=400)
PINGS_KEPT = timedelta(days=90)
AT_ONCE = 20_000  # rows per transaction, so that pages never wait for a clean-up
ROLLED_AT_ONCE = 48
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # what claims to be older says nothing
TRUSTED_AFTER = timedelta(days=1)  # the clock is believed once results have come by it for so long
COMPLETE_AFTER = timedelta(minutes=2)  # results are committed a moment after their probe began


def roll_up(now: datetime) -> int:
    """Make the hourly figures of every full hour that has none yet; return how many hours were made."""
    this_hour = (now - COMPLETE_AFTER).replace(minute=0, second=0, microsecond=0)
    # Hours from the future are from before the clock was set back: they must not end the figures until then.
    last = Hour.objects.filter(hour__lte=this_hour).aggregate(last=Max("hour"))["last"]
    hour = _next_with_results(last + timedelta(hours=1) if last is not None else None)
    made = 0
    while hour is not None and hour < this_hour and made < ROLLED_AT_ONCE:
        _roll_up_hour(hour)
        hour, made = _next_with_results(hour + timedelta(hours=1)), made + 1
    return made


def _next_with_results(begin: datetime | None) -> datetime | None:
    """Return the next hour with results: after a long stop, the empty ones between must not be gone through again."""
    results = Result.objects.filter(at__gte=begin) if begin is not None else Result.objects.all()
    first: datetime | None = results.aggregate(first=Min("at"))["first"]
    return first.replace(minute=0, second=0, microsecond=0) if first is not None else None


@transaction.atomic
def _roll_up_hour(hour: datetime) -> None:
    table, source = Hour._meta.db_table, Result._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (check_ref_id, hour, results, bad, duration_sum_s, duration_max_s)"  # noqa: S608
            " SELECT check_ref_id, %s, COUNT(*), SUM(CASE WHEN health <> 'up' THEN 1 ELSE 0 END),"
            f" SUM(duration_s), MAX(duration_s) FROM {source} WHERE at >= %s AND at < %s GROUP BY check_ref_id"
            " ON CONFLICT (check_ref_id, hour) DO NOTHING",
            [moment(hour), moment(hour), moment(hour + timedelta(hours=1))],
        )


def trusted(now: datetime) -> datetime:
    """Return the time by which what is old is told: `now`, once results have come for a day by this clock.

    Before that (a clock that was just set forward, a Mainstay that was off for weeks) it is the time of the newest
    result from before. It goes by what is stored, so it holds over restarts.
    """
    begin = now - TRUSTED_AFTER
    if Result.objects.filter(at__gt=begin - TRUSTED_AFTER, at__lte=begin).exists():
        return now
    newest: datetime | None = Result.objects.filter(at__lte=begin, at__gt=EARLIEST).aggregate(newest=Max("at"))[
        "newest"
    ]
    return newest if newest is not None else now


def trim(now: datetime, results_kept_s: float) -> bool:
    """Delete what is older than it is kept at a `trusted` time; return whether more is left."""
    return any(
        [
            _trim(Result, "at", now - timedelta(seconds=results_kept_s)),
            _trim(Ping, "at", now - PINGS_KEPT),
            _trim(Hour, "hour", now - HOURS_KEPT),
        ]
    )


def tell_distrust(now: datetime, by: datetime) -> None:
    """Say that nothing is cleared away by the present clock, or no longer."""
    if by >= now:
        notices.end("retention")
        return
    detail = (
        f"The newest results from before are of {utc_text(by)}. Either Mainstay was off since, or the clock is wrong:"
        " if so, set it. What is old by this clock is deleted once results have come by it for a day."
    )
    notices.tell("retention", f"It is {utc_text(now)}, if the clock is right.", detail, now)


def _trim(model: type[Result] | type[Ping] | type[Hour], field: str, before: datetime) -> bool:
    old = model._default_manager.filter(**{f"{field}__lt": before}).order_by("pk").values_list("pk", flat=True)
    ids = list(old[:AT_ONCE])
    if not ids:
        return False
    model._default_manager.filter(pk__in=ids).delete()
    return len(ids) == AT_ONCE


def result_written_last() -> datetime | None:
    """Return the time of the result that was recorded last: later than now means that the clock was set back."""
    return Result.objects.order_by("-id").values_list("at", flat=True).first()
