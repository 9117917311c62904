"""What came of an alert: trials since, what they cost, and where traffic went; and all of it in plain sentences. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from arbiter_app.pipeline.types import PICO_PER_USD, Json, Mode

Row = Mapping[str, Any]

BEFORE = 40
"""Requests before the alert from which the shares of then are taken."""
WINDOW = 15
"""Requests in a row, trials left out, of which one model has to serve SETTLED for traffic to have settled."""
SETTLED = 0.8
LEAST = 20
"""Requests after the alert before anything is called settled; for a new model, unless it was tried often enough ..."""
NEW_LEAST, NEW_TRIES = 100, 6
NEWEST = 3
"""Calls of the alert's model before it whose charges stand for later ones that were never made: they raised the alarm."""
MOST = 300
"""Requests after which what is seen is the outcome, settled or not."""
ROUTED = (Mode.EXPLORE, Mode.EXPLOIT, Mode.ESCALATE)


def concerned(alert: Row, rows: Sequence[Row]) -> list[Row]:
    """The routed, answered decisions among these (newest first) that an alert is about, oldest first."""
    return [
        row
        for row in reversed(rows)
        if row["status"] == "ok" and row["mode"] in ROUTED and alert["bucket"] in ("", row["bucket"])
    ]


def outcome(alert: Row, before: Sequence[Row], after: Sequence[Row]) -> Json:
    """What came of an alert so far, from decisions before and after it, oldest first. `settled`: when traffic had, or None."""
    before, after = before[-BEFORE:], after[:MOST]
    explored = [row for row in after if row["mode"] == Mode.EXPLORE]
    beside = [row for row in after if row.get("learning_cost_pico") is not None]
    spent = sum(row["cost_pico"] or 0 for row in explored) + sum(row["learning_cost_pico"] for row in beside)
    served = [(at, row) for at, row in enumerate(after) if row["mode"] != Mode.EXPLORE]
    start = _settling(alert, after, served)
    window = served[start : start + WINDOW] if start is not None else served[-WINDOW:]
    then, now = _favourite(before), _favourite([row for _, row in window])
    own = [row for row in after if _asked(row) == alert["model"]]
    stayed = own or [row for row in before if _asked(row) == alert["model"]][-NEWEST:]
    end = after[-1]["ts"] if start is None and len(after) >= MOST else None
    return {
        "requests": len(after),
        "trials": len(explored) + sum(row["mode"] != Mode.EXPLORE for row in beside),
        "trial_usd": spent / PICO_PER_USD,
        "own_calls": len(own),
        "share_before": _shares(before),
        "share_after": _shares([row for _, row in window]),
        "served_before": then,
        "served_after": now,
        "moved_after": window[0][0] if start is not None and window else None,
        "usd_before": _mean_usd([row for row in before if _asked(row) == then]),
        "usd_after": _mean_usd([row for _, row in window]),
        "usd_stayed": _mean_usd(stayed),
        "quality_after": _mean([row["quality"] for _, row in window if row["quality"] is not None]),
        "settled": after[window[-1][0]]["ts"] if start is not None and window else end,
    }


def told(alert: Row) -> tuple[str, str]:
    """An alert as two plain sentences: what moved, and what came of it."""
    return _moved(alert), _followed(alert, alert.get("outcome") or {})


def _settling(alert: Row, after: Sequence[Row], served: Sequence[tuple[int, Row]]) -> int | None:
    """The place among the served requests from which on one model has served nearly all to this day, its own first one; None while
    there is none. Who served for a while in between is not where traffic went."""
    least = LEAST
    if alert["kind"] == "new" and sum(_asked(row) == alert["model"] for row in after) < NEW_TRIES:
        least = NEW_LEAST
    start = len(served) - WINDOW
    if len(after) < least or start < 0:
        return None
    models = [_asked(row) for _, row in served]
    favourite = Counter(models[start:]).most_common(1)[0][0]
    while start >= 0 and models[start : start + WINDOW].count(favourite) >= SETTLED * WINDOW:
        start -= 1
    return models.index(favourite, start + 1) if start < len(served) - WINDOW else None


def _moved(alert: Row) -> str:
    old, new, kind = alert["old_unit"], alert["new_unit"], alert["kind"]
    if kind == "new":
        return "joined the pool"
    if kind == "gone":
        return "left the pool"
    if kind == "out_of_credit":
        return "the runtime's account is out of credit"
    if kind == "key":
        return "the runtime refuses its key"
    if kind == "quality":
        return f"graded {old:.2f} before, {new:.2f} now" if old is not None and new is not None else "graded worse"
    if kind == "charge":
        return "stated a charge that cannot be true"
    if old is None or new is None:
        return "its price moved"
    if old <= 0 or new <= 0:
        return "free before, charged for now" if new > 0 else "free now"
    return f"{new / old:.2g} times dearer" if new > old else f"{100 * (1 - new / old):.0f} % cheaper"


def _followed(alert: Row, seen: Row) -> str:
    if (alert.get("known") or {}).get("models"):
        return str(alert["reason"])
    if not seen.get("requests"):
        return "no request since"
    parts = [f"{_count(seen['trials'], 'trial')} for {_usd(seen['trial_usd'])}"] if seen["trials"] else []
    then, now = seen["served_before"], seen["served_after"]
    if alert["settled"] is None:
        return "; ".join([*parts, f"{_count(seen['requests'], 'request')} since, traffic has not settled yet"])
    if seen["moved_after"] is None or now is None:
        parts.append(f"traffic did not settle on one model in {_count(seen['requests'], 'request')}")
    elif now == then or then is None:
        parts.append(f"traffic {'stays with' if then else 'is with'} {now}")
    else:
        when = f"in {_count(seen['moved_after'], 'request')}" if seen["moved_after"] else "at once"
        parts.append(f"traffic moved from {then} to {now} {when}")
    return "; ".join([*parts, *_difference(alert, seen)])


def _difference(alert: Row, seen: Row) -> list[str]:
    """What requests cost (or score) now, and what they would have with the model that the alert is about."""
    parts = []
    now, stayed = seen["usd_after"], seen["usd_stayed"]
    moved = seen["served_before"] == alert["model"] != seen["served_after"]
    if now is not None and moved and alert["kind"] == "price" and stayed is not None:
        parts.append(f"1,000 requests cost {_usd(1000 * now)} instead of {_usd(1000 * stayed)}")
    elif now is not None and moved and seen["usd_before"] is not None:
        parts.append(f"1,000 requests cost {_usd(1000 * now)}, before {_usd(1000 * seen['usd_before'])}")
    elif now is not None:
        parts.append(f"1,000 requests cost {_usd(1000 * now)}")
    if alert["kind"] == "quality" and moved and seen["quality_after"] is not None:
        parts.append(f"answers are graded {seen['quality_after']:.2f} instead of {alert['new_unit']:.2f}")
    if alert["kind"] == "new":
        parts.append(f"it serves {100 * seen['share_after'].get(alert['model'], 0.0):.0f} % of them")
    return parts


def _asked(row: Row) -> str:
    """Who was asked first: the model that failed its check, where the request was escalated."""
    return str(row["cascaded_from"] or row["model"])


def _shares(rows: Sequence[Row]) -> dict[str, float]:
    return {model: n / len(rows) for model, n in Counter(map(_asked, rows)).most_common()}


def _favourite(rows: Sequence[Row]) -> str | None:
    return next(iter(_shares(rows)), None)


def _mean_usd(rows: Sequence[Row]) -> float | None:
    return _mean([row["cost_pico"] / PICO_PER_USD for row in rows if row["cost_pico"] is not None])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _usd(usd: float) -> str:
    if usd >= 0.1 or usd <= 0:
        return f"${usd:.2f}"
    return f"${usd:.{1 - math.floor(math.log10(usd))}f}"
