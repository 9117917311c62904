"""Times as dates, whatever a clock or a stored row says."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

FIRST_S, LAST_S = 86_400.0, 253_370_764_800.0
"""From the second day of 1970 to the first of 9999: in every time zone, and with a month added, there is such a date."""


def moment(ts: float, zone: tzinfo = UTC) -> datetime:
    """A unix time as a date of a time zone; one that no calendar has as the nearest that it has."""
    return datetime.fromtimestamp(min(LAST_S, max(FIRST_S, ts)), zone)
