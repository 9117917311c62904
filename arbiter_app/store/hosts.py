"""The hosts that serve from this database: each says every few seconds how it is, by the database's own clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from arbiter_app.store.backends import of_dialect
from arbiter_app.store.tables import StoredHost, table

SILENT_S = 15.0
"""A host that has said nothing for so long is not serving, or cannot reach the database."""
FORGOTTEN_S = 86_400.0
"""A host that ended without a word is shown for so long."""
_HOSTS = table(StoredHost)
_H = _HOSTS.c


@dataclass(frozen=True, slots=True)
class ToldHost:
    """A host by its own account. `silent_s` is how long ago that was; `report` what it said, which may be another version's."""

    id: str
    name: str
    started: float
    silent_s: float
    report: dict[str, Any]


def tell(connection: Connection, host_id: str, name: str, *, up_s: float, report: dict[str, Any]) -> float:
    """Say how a host is, up for so many seconds. A silent one of its name was itself, before it was started anew.

    Returns how far this machine's clock is ahead of the database's, in seconds.
    """
    now = of_dialect(connection.dialect).clock(connection)
    ahead_s = time.time() - now
    said = {"seen": now, "body": orjson.dumps({**report, "clock_ahead_s": round(ahead_s, 3)})}
    if connection.execute(update(_HOSTS).where(_H.id == host_id).values(said)).rowcount == 0:
        connection.execute(insert(_HOSTS).values(id=host_id, name=name, started=now - up_s, **said))
    before = and_(_H.name == name, _H.id != host_id, _H.seen < now - SILENT_S)
    connection.execute(delete(_HOSTS).where(or_(before, _H.seen < now - FORGOTTEN_S)))
    return ahead_s


def leave(connection: Connection, host_id: str) -> None:
    """Say that a host has ended in good order."""
    connection.execute(delete(_HOSTS).where(_H.id == host_id))


def listing(connection: Connection) -> list[ToldHost]:
    """Every host, by name."""
    now = of_dialect(connection.dialect).clock(connection)
    return [
        ToldHost(row.id, row.name, row.started, max(0.0, now - row.seen), _report(row.body))
        for row in connection.execute(select(_HOSTS).order_by(_H.name, _H.started))
    ]


def _report(body: bytes) -> dict[str, Any]:
    """What a host said; nothing where it cannot be read."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}
