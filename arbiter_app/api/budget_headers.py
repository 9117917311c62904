"""What is left of a request's budgets, as headers of its answer."""

from __future__ import annotations

from arbiter_app.pipeline.ports import Reservation
from arbiter_app.services.budgets import plain_usd

REMAINING, RENEWS, WARNING = b"x-arbiter-budget-remaining", b"x-arbiter-budget-renews", b"x-arbiter-budget-warning"
Headers = list[tuple[bytes, bytes]]


def budget_headers(reservation: Reservation) -> Headers:
    """`x-arbiter-budget-remaining`, dollars of the tightest budget that are neither spent nor reserved, with this request's own among
    these; and a warning where a soft limit is passed.
    """
    warning = reservation.warning
    headers = [(REMAINING, plain_usd(reservation.remaining_pico).encode())]
    return [*headers, (WARNING, warning.encode("latin-1", "replace"))] if warning else headers
