"""The periods of budgets: a day, a week from Monday, a month, by the clock on the wall of a time zone; or all time."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from arbiter_app.moments import moment
from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.pipeline.plain import quoted

DAY, WEEK, MONTH, ALL = "day", "week", "month", "all"
PERIODS = (DAY, WEEK, MONTH, ALL)
NO_PLACES = ("localtime", "posixrules", "Factory")
"""Files beside those of time zones: on another host they say something else, or nothing."""


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises Unprocessable."""
    try:
        if name in NO_PLACES or name.startswith(("posix/", "right/")):
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        known = "an IANA name like UTC or Europe/Berlin"
        raise Unprocessable(f"{quoted(name, 40)} is no time zone; give {known}", param="timezone") from None


def bounds_of(period: str, zone: str, now: float) -> tuple[int, int | None]:
    """When the period that holds `now` began and when the next begins, unix seconds; 0 and None for all time."""
    if period == ALL:
        return 0, None
    tz = zone_of(zone)
    today = moment(now, tz).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if period == WEEK:
        start = today - timedelta(days=today.weekday())
        end = start + timedelta(days=7)
    elif period == MONTH:
        start = today.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    else:
        start, end = today, today + timedelta(days=1)
    return int(start.replace(tzinfo=tz).timestamp()), int(end.replace(tzinfo=tz).timestamp())
