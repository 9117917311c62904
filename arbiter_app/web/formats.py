"""Numbers as text: each once, with its unit and the digits it needs."""

from __future__ import annotations

import math

_SCALES = ((1e-3, 1.0, ""), (1e-6, 1e-6, " µ"), (1e-9, 1e-9, " n"), (0.0, 1e-12, " p"))

NOTHING = "–"


def money(usd: float | None) -> str:
    """Dollars with three or four significant digits: `$1.6504`, `$0.0412`, `$4.1 µ` (millionths), `$0`."""
    if usd is None:
        return "unknown"
    if usd == 0:
        return "$0"
    size, sign = abs(usd), "−" if usd < 0 else ""
    for least, unit, name in _SCALES:
        if size >= least:
            return f"{sign}${_digits(size / unit)}{name}"
    return f"{sign}${size}"


def _digits(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}" if value < 1000 else f"{value:,.2f}"
    if value >= 10:
        return f"{value:.1f}"
    if value >= 1:
        return f"{value:.2f}"
    return f"{value:.{3 - math.floor(math.log10(value)) - 1}f}"


def dollars(usd: float | None) -> str:
    """Dollars for a total: four decimals from a cent up, otherwise like `money`."""
    if usd is None or abs(usd) < 0.01:
        return money(usd)
    return f"{'−' if usd < 0 else ''}${abs(usd):,.{2 if abs(usd) >= 1000 else 4}f}"


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
