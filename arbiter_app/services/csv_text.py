"""CSV that a spreadsheet shows and does not run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

_BEGINS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What a formula begins with, also in full width, as spreadsheets of East Asian locales read it (OWASP, CSV Injection)."""


def as_csv(head: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> str:
    """A table as CSV, without a first line where `head` is None. A leading sign that a spreadsheet would run is made harmless."""
    out = io.StringIO()
    writer = csv.writer(out)
    if head is not None:
        writer.writerow(head)
    writer.writerows([[inert(cell) for cell in row] for row in rows])
    return out.getvalue()


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if not cell or cell.lstrip(" \u00a0\u3000")[:1] not in _BEGINS:
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell
