"""Thumbs of callers: one a conversation and day counts, and few of one owner in a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from arbiter_app.store.tables import Feedback, table

_FEEDBACK = table(Feedback)
DAY_S = 86_400.0
VOTES_A_DAY = 5
"""Thumbs of one owner that count for the choice in a bucket, per UTC day; one of them for each conversation."""


@dataclass(frozen=True, slots=True)
class Thumb:
    """A thumb that was given before, and whether it counted."""

    rating: str
    score: float | None
    counted: bool


def add_feedback(connection: Connection, row: Mapping[str, Any]) -> tuple[Thumb | None, bool]:
    """Keep a thumb, replacing the same key's earlier one on the decision; returns that one, and whether the new one counts.

    Of one owner, one a conversation and day counts, and VOTES_A_DAY in a bucket: nobody moves a bucket alone. What replaces one
    that counted counts; `row["counted"]` False never does.
    """
    before = None
    if row["decision_id"] is not None:
        same = (_FEEDBACK.c.decision_id == row["decision_id"]) & (_FEEDBACK.c.key_id == row["key_id"])
    else:
        of_it = (_FEEDBACK.c.bucket == row["bucket"]) & (_FEEDBACK.c.model == row["model"])
        same = _FEEDBACK.c.decision_id.is_(None) & (_FEEDBACK.c.key_id == row["key_id"]) & of_it
        same = same & _on_the_day_of(row)
    found = connection.execute(select(_FEEDBACK.c.rating, _FEEDBACK.c.score, _FEEDBACK.c.counted).where(same)).first()
    if found is not None:
        before = Thumb(found.rating, found.score, bool(found.counted))
        connection.execute(delete(_FEEDBACK).where(same))
    counts = bool(row.get("counted", True)) and (
        before.counted if before is not None else _has_a_vote_left(connection, row)
    )
    connection.execute(insert(_FEEDBACK).values(**{**row, "counted": counts}))
    return before, counts


def _has_a_vote_left(connection: Connection, row: Mapping[str, Any]) -> bool:
    mine = (_FEEDBACK.c.owner == row.get("owner", "")) & (_FEEDBACK.c.bucket == row["bucket"])
    query = select(_FEEDBACK.c.conversation).where(mine, _on_the_day_of(row), _FEEDBACK.c.counted)
    given = [conversation for (conversation,) in connection.execute(query)]
    return len(given) < VOTES_A_DAY and row.get("conversation", "") not in given


def _on_the_day_of(row: Mapping[str, Any]) -> ColumnElement[bool]:
    """Within its UTC day; a clock that was set back leaves thumbs of days to come."""
    midnight = row["ts"] // DAY_S * DAY_S
    return and_(_FEEDBACK.c.ts >= midnight, _FEEDBACK.c.ts < midnight + DAY_S)
