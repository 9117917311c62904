"""Numbers as text: each once, with its unit and the digits it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

NOTHING = "–"
CALL_DIGITS = 6
"""Digits after the point of what one call costs, wherever such amounts stand in a column: to the millionth of a dollar."""
LEAST_DIGITS = 2
"""Significant digits that the smallest amount of a column has at least."""


def money(usd: float | None) -> str:
    """Dollars with three significant digits, as people write them: `$1.65`, `$0.0412`, `$0.000096`, `$0`."""
    if usd is None:
        return "unknown"
    if usd == 0:
        return "$0"
    size, sign = abs(usd), "−" if usd < 0 else ""
    if size >= 1:
        return f"{sign}${size:,.{max(0, 2 - _power(size))}f}"
    digits = f"{size:.{2 - _power(size)}f}"
    return f"{sign}${digits if size >= 1e-3 else digits.rstrip('0')}"


def charge(usd: float | None) -> str:
    """What one call costs, in a column of such: `$0.000096`, `$0.012700`, so that amounts compare digit by digit."""
    if usd is None:
        return "unknown"
    if usd == 0:
        return "$0"
    size, sign = abs(usd), "−" if usd < 0 else ""
    least = 10.0**-CALL_DIGITS
    return f"{sign}<${least:.{CALL_DIGITS}f}" if size < least / 2 else f"{sign}${size:,.{CALL_DIGITS}f}"


def alike(amounts: Sequence[float | None]) -> list[str]:
    """The amounts of a column in dollars, all with the digits that the smallest one needs."""
    sizes = [abs(usd) for usd in amounts if usd]
    digits = min(9, max(2, LEAST_DIGITS - 1 - _power(min(sizes)))) if sizes else 2
    written = {None: NOTHING, 0.0: "$0"}
    return [written.get(usd) or f"{'−' if usd and usd < 0 else ''}${abs(usd or 0):,.{digits}f}" for usd in amounts]


def _power(size: float) -> int:
    """The power of ten of the first digit."""
    return math.floor(math.log10(size))


def dollars(usd: float | None) -> str:
    """Dollars for a total: four decimals from a cent up, otherwise like `money`."""
    if usd is None or abs(usd) < 0.01:
        return money(usd)
    return f"{'−' if usd < 0 else ''}${abs(usd):,.{2 if abs(usd) >= 1000 else 4}f}"


def amount(usd: float) -> str:
    """Dollars as people write them: `$200.00`, `$0.04`, `$0.000096`, `$0`."""
    if usd >= 0.01:
        return f"${usd:,.2f}"
    digits = f"{usd:.{1 - math.floor(math.log10(usd))}f}".rstrip("0") if usd >= 1e-12 else "0"
    return f"${digits}"


def ms(value: float | None) -> str:
    """Milliseconds: `<0.01`, `0.04`, `12`, `1,420`."""
    if value is None:
        return NOTHING
    if value < 0.005:
        return "<0.01"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def count(value: int | float | None) -> str:
    """A whole number with thousands separators."""
    return NOTHING if value is None else f"{value:,.0f}"


def roughly(value: float) -> str:
    """A whole number of which only the size counts: one digit of it, two where the first is 1."""
    if value < 10:
        return count(max(1.0, value))
    one = f"{value:.0e}"
    return count(float(f"{value:.1e}" if one[0] == "1" else one))


def sample(n: float | None) -> str:
    """A number of grades, in which a judged one may count for less than one."""
    return "<1" if n is not None and 0 < n < 0.5 else count(n)


def share(value: float | None, digits: int = 1) -> str:
    """A share 0..1 as per cent."""
    return NOTHING if value is None else f"{value * 100:.{digits}f} %".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """A per cent, 0 to 100."""
    return share(None if value is None else value / 100, digits)


def percent_css(value: float | None) -> str:
    """A share 0..1 as a CSS length, clamped; empty when unknown."""
    return "" if value is None else f"{max(0.0, min(1.0, value)) * 100:.1f}%"


def score(value: float | None) -> str:
    """A quality 0..1."""
    return NOTHING if value is None else f"{value:.2f}"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, with a real minus sign."""
    return NOTHING if value is None else f"{value:+.{digits}f}".replace("-", "−")
