"""Periods begin by the clock on the wall: months of any length, days of 23 and 25 hours."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.services.periods import bounds_of


def at(zone: str, *when: int) -> float:
    return datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        ("day", "UTC", (2026, 11, 29, 23, 59), (2026, 11, 29), (2026, 11, 30)),
        ("day", "Asia/Tokyo", (2026, 11, 30, 0, 0), (2026, 11, 30), (2026, 12, 1)),
        ("day", "Europe/Berlin", (2026, 3, 29, 12), (2026, 3, 29), (2026, 3, 30)),
        ("week", "UTC", (2026, 11, 29, 5), (2026, 11, 23), (2026, 11, 30)),
        ("month", "America/New_York", (2026, 2, 28, 23), (2026, 2, 1), (2026, 3, 1)),
        ("month", "UTC", (2026, 12, 31), (2026, 12, 1), (2027, 1, 1)),
    ],
)
def test_a_period_is_that_of_the_calendar(
    period: str, zone: str, now: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]
) -> None:
    assert bounds_of(period, zone, at(zone, *now)) == (at(zone, *start), at(zone, *end))


def test_the_day_on_which_clocks_change_is_shorter() -> None:
    start, end = bounds_of("day", "Europe/Berlin", at("Europe/Berlin", 2026, 3, 29, 1))
    assert end is not None and end - start == 23 * 3_600


def test_all_time_has_no_end() -> None:
    assert bounds_of("all", "UTC", 5.0) == (0, None)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "", "x" * 300])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(Unprocessable, match="no time zone"):
        bounds_of("day", name, 0.0)
