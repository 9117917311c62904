"""Ranges of time that pages show, and the names of live channels: a topic with its arguments; whose traffic it shows, and which range.

A range is written as one of RANGES, up to now, or as days by the clock of the settings' time zone: `2026-11-01..2026-11-30`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from arbiter_app.moments import moment
from arbiter_app.services.reads import Reads
from arbiter_app.store.rollup_math import FIVE_MINUTES
from arbiter_app.web.views import View

ALL = "*"
DAY_S, HOUR_S = 86_400, 3_600
RANGES: dict[str, tuple[float, int]] = {
    "1h": (HOUR_S, 12),
    "24h": (DAY_S, 24),
    "7d": (7 * DAY_S, 28),
    "30d": (30 * DAY_S, 30),
}
"""Seconds up to now, and the slots of a chart of them."""
BETWEEN = ".."
LONGEST_DAYS = 3_650
FIRST_YEAR = 2000
MOST_SLOTS = 62
SLOTS_S = (HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S, DAY_S, 2 * DAY_S, 7 * DAY_S, 30 * DAY_S, 90 * DAY_S)
"""How long a slot of a chart of days is: the first of these of which there are at most MOST_SLOTS."""
HOURLY_DAYS = 365
"""Up to so many days back the first slot begins with the first day by its own clock; before, with the UTC day."""


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days by the clock of a time zone: the first, and the last, which is part of it."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def times(self) -> tuple[int, int]:
        """When it begins, and when the day after it does, unix seconds."""
        return _midnight(self.first, self.zone), _midnight(self.last + timedelta(days=1), self.zone)

    @property
    def before(self) -> Days:
        """As many days before it."""
        days = (self.last - self.first).days + 1
        return Days(self.first - timedelta(days=days), self.first - timedelta(days=1), self.zone)

    @property
    def words(self) -> str:
        """The days as people write them."""
        if self.first == self.last:
            return f"{self.first:%-d %b %Y}"
        return f"{self.first:%-d %b} to {self.last:%-d %b %Y}"

    @property
    def span(self) -> str:
        """As it is written."""
        return f"{self.first}{BETWEEN}{self.last}"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """What a range is at a moment: times in unix seconds, and the slots of its charts. Without `until` it goes on."""

    since: float
    until: float | None
    seconds: float
    bucket_s: int
    buckets: int
    first: int | None
    """Where the first slot begins; None where the last one is that of now."""

    @property
    def before(self) -> int:
        """Where the first slot of the same time before begins."""
        first = int(time.time()) // self.bucket_s * self.bucket_s - (self.buckets - 1) * self.bucket_s
        return (first if self.first is None else self.first) - self.buckets * self.bucket_s


def days_of(first: str, last: str, zone: str, now: float) -> Days:
    """The days between two dates (`2026-11-30`); the last 30 days where they are none."""
    tz = ZoneInfo(zone)
    today = moment(now, tz).date()
    end = min(_date(last) or today, today)
    start = min(_date(first) or end - timedelta(days=29), end)
    return Days(max(start, end - timedelta(days=LONGEST_DAYS)), end, tz)


def presets(zone: str, now: float, shown: Days) -> list[View]:
    """Ranges that are asked for often, each with its dates; the first that is shown is `on`."""
    today = moment(now, ZoneInfo(zone)).date()
    month = today.replace(day=1)
    last = month - timedelta(days=1)
    named = {
        "Today": (today, today),
        "7 days": (today - timedelta(days=6), today),
        "30 days": (today - timedelta(days=29), today),
        "This month": (month, today),
        "Last month": (last.replace(day=1), last),
    }
    chosen = next((name for name, ends in named.items() if ends == (shown.first, shown.last)), "")
    return [
        {"name": name, "first": str(first), "last": str(end), "on": "yes" if name == chosen else ""}
        for name, (first, end) in named.items()
    ]


def span_of(text: str, zone: str, now: float) -> str:
    """A range as it is written, from what somebody sent: empty where it is none."""
    return _days(text, zone, now).span if BETWEEN in text else text if text in RANGES else ""


def in_words(span: str, zone: str, now: float) -> str:
    """A range as people say it: `last 24 h`, `1 Nov to 30 Nov 2026`."""
    return _days(span, zone, now).words if BETWEEN in span else f"last {span[:-1]} {span[-1]}"


def days_shown(span: str, zone: str, now: float) -> Days:
    """The days that a range touches."""
    if BETWEEN in span:
        return _days(span, zone, now)
    tz = ZoneInfo(zone)
    return Days(moment(now - RANGES[span][0], tz).date(), moment(now, tz).date(), tz)


def range_at(span: str, zone: str, now: float) -> TimeRange:
    """What a range is now."""
    if BETWEEN not in span:
        seconds, buckets = RANGES[span]
        return TimeRange(now - seconds, None, seconds, int(seconds / buckets), buckets, None)
    since, end = _days(span, zone, now).times
    last = min(end, int(now))
    size = next((one for one in SLOTS_S if (last - since) <= one * MOST_SLOTS), SLOTS_S[-1])
    first = since if now - since < HOURLY_DAYS * DAY_S else since // DAY_S * DAY_S
    slots, whole = max(1, -(-(last - first) // size)), -(-(last - since) // FIVE_MINUTES) * FIVE_MINUTES
    return TimeRange(since, end if end <= now else None, whole, size, slots, first)


def decisions(narrowed: Mapping[str, str], span: str, zone: str, now: float) -> str:
    """Where the decisions of a range are."""
    if BETWEEN not in span:
        return "/app/activity?" + urlencode({**narrowed, "age": span})
    since, until = _days(span, zone, now).times
    return "/app/activity?" + urlencode({**narrowed, "since": str(since), "until": str(until)})


def key_of(part: str) -> str | None:
    """The key a channel is restricted to, or None for everybody's traffic."""
    return None if part == ALL else part


async def fitting_span(reads: Reads, key_id: str | None) -> str:
    """The range a first visit shows: a day, or an hour while there is nothing older."""
    day, hour = [await reads.report(since=time.time() - RANGES[name][0], scope=key_id) for name in ("24h", "1h")]
    return "1h" if hour["calls"] == day["calls"] else "24h"


def _days(span: str, zone: str, now: float) -> Days:
    first, _, last = span.partition(BETWEEN)
    return days_of(first, last, zone, now)


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _date(text: str) -> date | None:
    """A date; none before FIRST_YEAR, for which not every calendar has a day before."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.year >= FIRST_YEAR else None
