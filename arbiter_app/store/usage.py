"""Limits of minted keys: routed requests per window, counted inside the writer's transaction, so exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, select

from arbiter_app.store.statements import Query, Statement
from arbiter_app.store.tables import UsageWindow, table
from arbiter_app.values import value

WINDOWS_S = {"six_hours": 6 * 3600.0, "week": 7 * 86_400.0}

_USAGE = table(UsageWindow)
_OF = select(_USAGE.c.kind, _USAGE.c.start, _USAGE.c.used).where(_USAGE.c.key_id == bindparam("key_id"))


@value(frozen=True, slots=True)
class Window:
    """One window of a key: how much is used of it, and in how many seconds it starts anew."""

    used: int
    resets_in_s: float


@value(frozen=True, slots=True)
class Counted:
    """What became of counting one request: the windows afterwards, and the one that is `full`, for which it was not counted."""

    windows: dict[str, Window]
    full: str


def of(connection: Connection, key_id: str, now: float) -> dict[str, Window]:
    """The windows of a key as they are now."""
    return _windows(connection.execute(_OF, {"key_id": key_id}).all(), now)


class UsageMeter:
    """Counts against limits, inside a transaction that no other writer shares: exactly, whichever process counts."""

    def __init__(self, dialect: Dialect) -> None:
        self._of = Query(dialect, _OF)
        self._put = Statement(dialect, UsageWindow, put=("start", "used"))

    def count(
        self, connection: Connection, asked: Sequence[tuple[str, Mapping[str, int]]], now: float
    ) -> list[Counted]:
        """Count one routed request for each key id with its limits, one after the other."""
        key_ids = list(dict.fromkeys(key_id for key_id, _ in asked))
        stored = dict(zip(key_ids, self._of.run_each(connection, [{"key_id": one} for one in key_ids]), strict=True))
        windows = {key_id: _windows(rows, now) for key_id, rows in stored.items()}
        changed = {key_id: None for key_id, rows in stored.items() if any(start > now for _, start, _ in rows)}
        counted = []
        for key_id, limits in asked:
            known = windows[key_id]
            full = next((kind for kind, limit in limits.items() if known[kind].used >= limit), "")
            if not full:
                known = windows[key_id] = {kind: Window(one.used + 1, one.resets_in_s) for kind, one in known.items()}
                changed[key_id] = None
            counted.append(Counted(known, full))
        self._put.run(connection, [row for key_id in changed for row in _rows(key_id, windows[key_id], now)])
        return counted

    def refund(self, connection: Connection, key_id: str, now: float) -> None:
        """Take one request back: it was refused before any model was asked."""
        windows = _windows(self._of.run(connection, key_id=key_id), now)
        less = {kind: Window(one.used - 1, one.resets_in_s) for kind, one in windows.items() if one.used}
        self._put.run(connection, _rows(key_id, less, now))


def _rows(key_id: str, windows: Mapping[str, Window], now: float) -> list[tuple[str, str, float, int]]:
    return [(key_id, kind, now + one.resets_in_s - WINDOWS_S[kind], one.used) for kind, one in windows.items()]


def _windows(rows: Iterable[Sequence[Any]], now: float) -> dict[str, Window]:
    """The windows at `now`. One of which nothing is used begins now, and so does one in the future, because the clock was set back."""
    known = {kind: (start, used) for kind, start, used in rows}
    found = {}
    for kind, length_s in WINDOWS_S.items():
        start, used = known.get(kind, (now, 0))
        fresh = used == 0 or now - start >= length_s
        found[kind] = Window(0, length_s) if fresh else Window(used, min(length_s, start + length_s - now))
    return found
