"""A digest: what was spent and saved in a period, by kind of prompt and by model, and what moved; as text and as HTML. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from arbiter_app.moments import moment
from arbiter_app.services.rows.alerts import AlertRow
from arbiter_app.services.rows.reports import BucketRow, ModelRow, ReportSums

ROWS = 8
"""Kinds of prompts, models and alerts that are named; of more the rest is counted."""
_CELL = "padding:4px 12px 4px 0;border-bottom:1px solid #ddd;text-align:"


def digest(
    report: ReportSums, alerts: Sequence[AlertRow], *, since: float, until: float, zone: ZoneInfo
) -> tuple[str, str, dict[str, Any]]:
    """Text, HTML, and the figures for programs (USD)."""
    start, end = (f"{moment(at, zone):%a %d %b %Y %H:%M}" for at in (since, until))
    period = f"{start} to {end}, {zone.key}"
    head = _headline(report)
    tables = [
        (
            "By kind of prompt",
            [(row["bucket"], row) for row in _busiest(report["by_bucket"])],
            len(report["by_bucket"]),
        ),
        ("By model", [(row["model"], row) for row in _busiest(report["by_model"])], len(report["by_model"])),
    ]
    moved = [f"{row['model']}: {row['moved']}; {row['then']}" for row in alerts[:ROWS]]
    more = [f"... and {len(alerts) - ROWS} more"] if len(alerts) > ROWS else []
    moved = [*moved, *more] or ["nothing"]
    text = [period, "", *head]
    html = [f"<p style='color:#666'>{escape(period)}</p>", *(f"<p>{escape(line)}</p>" for line in head)]
    for title, rows, count in tables:
        if rows:
            text += ["", f"{title}:", *(f"- {name}: {_told(row)}" for name, row in rows), *_rest(count)]
            html += [f"<h3>{escape(title)}</h3>", _table(rows), *(f"<p>{escape(line)}</p>" for line in _rest(count))]
    text += ["", "What moved:", *(f"- {line}" for line in moved)]
    html += ["<h3>What moved</h3>", "<ul>", *(f"<li>{escape(line)}</li>" for line in moved), "</ul>"]
    return "\n".join(text), "\n".join(html), _figures(report, since, until, len(alerts))


def usd(amount: float) -> str:
    """An amount as people write it: cents from a dollar up, else two digits that count; never a unit but the dollar."""
    size, sign = abs(amount), "-" if amount < 0 else ""
    if size == 0 or size >= 1:
        return f"{sign}${size:,.2f}"
    return f"{sign}${size:.{max(2, 1 - math.floor(math.log10(size)))}f}"


def _headline(report: ReportSums) -> list[str]:
    calls, interval = report["calls"], report["interval_usd"]
    failed = f", {report['failed']:,} of them failed" if report["failed"] else ""
    lines = [f"{calls:,} {'request' if calls == 1 else 'requests'}{failed}. Spent: {usd(report['actual_spend'])}."]
    saved = f"Saved against {report['baseline_model']}: {usd(report['saved'])}"
    share = "" if report["saved_pct"] is None else f" ({report['saved_pct']:.0f} %)"
    if interval is None:
        lines.append(f"{saved}{share}; not proven, for too little was measured.")
    else:
        known = "proven" if report["proven"] else "not proven"
        lines.append(f"{saved}{share}; 95 % interval {usd(interval[0])} to {usd(interval[1])}, {known}.")
    if report["mean_quality"] is not None:
        lines.append(f"Mean quality {report['mean_quality']:.2f} of {report['graded']:,} graded answers.")
    return lines


def _told(row: BucketRow | ModelRow) -> str:
    quality = "" if row["mean_quality"] is None else f", quality {row['mean_quality']:.2f}"
    return f"{row['calls']:,} requests, {usd(row['actual_spend'])} spent, {usd(row['saved'])} saved{quality}"


def _table(rows: Sequence[tuple[str, BucketRow | ModelRow]]) -> str:
    names = ("", "requests", "spent", "saved", "quality")
    heads = "".join(f"<th style='{_CELL}{'right' if name else 'left'}'>{name}</th>" for name in names)
    lines = []
    for name, row in rows:
        quality = "" if row["mean_quality"] is None else f"{row['mean_quality']:.2f}"
        cells = (f"{row['calls']:,}", usd(row["actual_spend"]), usd(row["saved"]), quality)
        numbers = "".join(f"<td style='{_CELL}right'>{cell}</td>" for cell in cells)
        lines.append(f"<tr><td style='{_CELL}left'>{escape(name)}</td>{numbers}</tr>")
    return f"<table style='border-collapse:collapse'><tr>{heads}</tr>{''.join(lines)}</table>"


def _busiest(rows: Sequence[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: (-row["actual_spend"], -row["calls"]))[:ROWS]


def _rest(count: int) -> list[str]:
    return [f"... and {count - ROWS} more"] if count > ROWS else []


def _figures(report: ReportSums, since: float, until: float, alerts: int) -> dict[str, Any]:
    names = (
        "calls",
        "failed",
        "actual_spend",
        "baseline_spend",
        "saved",
        "saved_pct",
        "interval_usd",
        "proven",
        "mean_quality",
    )
    figures: dict[str, Any] = {name: report[name] for name in names}  # type: ignore[literal-required]
    sums = ("calls", "actual_spend", "saved", "mean_quality")
    by_bucket = [{"bucket": row["bucket"], **{name: row[name] for name in sums}} for row in report["by_bucket"]]  # type: ignore[literal-required]
    by_model = [{"model": row["model"], **{name: row[name] for name in sums}} for row in report["by_model"]]  # type: ignore[literal-required]
    return {"since": since, "until": until, "alerts": alerts, **figures, "by_bucket": by_bucket, "by_model": by_model}
