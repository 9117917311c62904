"""Limits of minted keys: routed requests per window, counted inside the writer's transaction, so exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from arbiter_app.store.tables import Usage, table

WINDOWS_S = {"six_hours": 6 * 3600.0, "week": 7 * 86_400.0}

_USAGE = table(Usage)


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a key: how much is used of it, and in how many seconds it starts anew."""

    used: int
    resets_in_s: float


def of(connection: Connection, key_id: str, now: float) -> dict[str, Window]:
    """The windows of a key as they are now."""
    rows = {row.kind: row for row in connection.execute(select(_USAGE).where(_USAGE.c.key_id == key_id))}
    found = {}
    for kind, length_s in WINDOWS_S.items():
        row = rows.get(kind)
        fresh = row is None or now - row.start >= length_s
        found[kind] = Window(0, length_s) if fresh or row is None else Window(row.used, row.start + length_s - now)
    return found


def reserve(connection: Connection, key_id: str, limits: Mapping[str, int], now: float) -> tuple[str, Window] | None:
    """Count one routed request, or name the window that is used up (and count nothing)."""
    windows = of(connection, key_id, now)
    for kind, limit in limits.items():
        if windows[kind].used >= limit:
            return kind, windows[kind]
    for kind, length_s in WINDOWS_S.items():
        window = windows[kind]
        start = now if window.used == 0 else now + window.resets_in_s - length_s
        _set(connection, key_id, kind, start, window.used + 1)
    return None


def refund(connection: Connection, key_id: str, now: float) -> None:
    """Take one request back: it was refused before any model was asked."""
    for kind, window in of(connection, key_id, now).items():
        if window.used:
            _set(connection, key_id, kind, now + window.resets_in_s - WINDOWS_S[kind], window.used - 1)


def _set(connection: Connection, key_id: str, kind: str, start: float, used: int) -> None:
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = build(_USAGE).values(key_id=key_id, kind=kind, start=start, used=used)
    put = {"start": row.excluded.start, "used": row.excluded.used}
    connection.execute(row.on_conflict_do_update(index_elements=["key_id", "kind"], set_=put))
