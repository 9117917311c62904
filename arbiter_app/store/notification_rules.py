"""Rules of who is told: rows by id, each change on record with it. What stands in `secrets` the store does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Delete, Update, delete, func, insert, select, update

from arbiter_app.store import audit
from arbiter_app.store.tables import Notification, NotificationRule, table

MOST = 100

_RULES, _QUEUE = table(NotificationRule), table(Notification)


def all_of(connection: Connection) -> list[dict[str, Any]]:
    """Every rule, oldest first."""
    return [_rule(row) for row in connection.execute(select(_RULES).order_by(_RULES.c.created, _RULES.c.id))]


def one(connection: Connection, rule_id: str) -> dict[str, Any] | None:
    """One rule, None where there is none."""
    row = connection.execute(select(_RULES).where(_RULES.c.id == rule_id)).first()
    return None if row is None else _rule(row)


def add(connection: Connection, row: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Keep a new one; False where there are MOST already."""
    if connection.execute(select(func.count()).select_from(_RULES)).scalar_one() >= MOST:
        return False
    connection.execute(insert(_RULES).values(**_stored(row)))
    audit.add(connection, entry)
    return True


def change(connection: Connection, rule_id: str, values: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Change columns of one; whether there is one."""
    return _acted(connection, update(_RULES).where(_RULES.c.id == rule_id).values(**_stored(values)), entry)


def remove(connection: Connection, rule_id: str, entry: Mapping[str, Any]) -> bool:
    """Delete one with all its messages; whether there was one."""
    connection.execute(delete(_QUEUE).where(_QUEUE.c.rule_id == rule_id))
    return _acted(connection, delete(_RULES).where(_RULES.c.id == rule_id), entry)


def _acted(connection: Connection, act: Update | Delete, entry: Mapping[str, Any]) -> bool:
    done = connection.execute(act).rowcount > 0
    if done:
        audit.add(connection, entry)
    return done


def _rule(row: Any) -> dict[str, Any]:
    found = dict(row._mapping)
    return {**found, "events": orjson.loads(found["events"])}


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    if "events" not in values:
        return dict(values)
    return {**values, "events": orjson.dumps(sorted(values["events"])).decode()}
