"""Limits of minted keys: routed requests per window, counted inside the writer's transaction, so exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, select

from arbiter_app.store.statements import Query, Statement
from arbiter_app.store.tables import UsageWindow, table

WINDOWS_S = {"six_hours": 6 * 3600.0, "week": 7 * 86_400.0}

_USAGE = table(UsageWindow)
_OF = select(_USAGE.c.kind, _USAGE.c.start, _USAGE.c.used).where(_USAGE.c.key_id == bindparam("key_id"))


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a key: how much is used of it, and in how many seconds it starts anew."""

    used: int
    resets_in_s: float


def of(connection: Connection, key_id: str, now: float) -> dict[str, Window]:
    """The windows of a key as they are now."""
    return _windows(connection.execute(_OF, {"key_id": key_id}).all(), now)


class UsageMeter:
    """Counts against limits, inside a transaction that no other writer shares: exactly, whichever process counts."""

    def __init__(self, dialect: Dialect) -> None:
        self._of = Query(dialect, _OF)
        self._put = Statement(dialect, UsageWindow, put=("start", "used"))

    def reserve(
        self,
        connection: Connection,
        key_id: str,
        limits: Mapping[str, int],
        now: float,
        told: dict[str, Window] | None = None,
    ) -> tuple[str, Window] | None:
        """Count one routed request, or name the window that is used up (and count nothing).

        `told` is filled with the windows as they are afterwards.
        """
        stored = self._of.run(connection, key_id=key_id)
        windows = _windows(stored, now)
        for kind, limit in limits.items():
            if windows[kind].used >= limit:
                if told is not None:
                    told.update(windows)
                if any(start > now for _, start, _ in stored):
                    self._put.run(connection, _begun(key_id, windows, now, 0))
                return kind, windows[kind]
        self._put.run(connection, _begun(key_id, windows, now, 1))
        if told is not None:
            told.update((kind, Window(one.used + 1, one.resets_in_s)) for kind, one in windows.items())
        return None

    def refund(self, connection: Connection, key_id: str, now: float) -> None:
        """Take one request back: it was refused before any model was asked."""
        windows = _windows(self._of.run(connection, key_id=key_id), now)
        used = {kind: window for kind, window in windows.items() if window.used}
        starts = {kind: now + window.resets_in_s - WINDOWS_S[kind] for kind, window in used.items()}
        self._put.run(connection, [(key_id, kind, starts[kind], window.used - 1) for kind, window in used.items()])


def _begun(key_id: str, windows: Mapping[str, Window], now: float, more: int) -> list[tuple[str, str, float, int]]:
    """The rows of these windows, with `more` requests in them."""
    begun = {kind: now if one.used == 0 else now + one.resets_in_s - WINDOWS_S[kind] for kind, one in windows.items()}
    return [(key_id, kind, begun[kind], one.used + more) for kind, one in windows.items()]


def _windows(rows: Iterable[Sequence[Any]], now: float) -> dict[str, Window]:
    """The windows at `now`. One that begins in the future, because the clock was set back, begins now."""
    known = {kind: (start, used) for kind, start, used in rows}
    found = {}
    for kind, length_s in WINDOWS_S.items():
        start, used = known.get(kind, (now, 0))
        fresh = now - start >= length_s
        found[kind] = Window(0, length_s) if fresh else Window(used, min(length_s, start + length_s - now))
    return found
