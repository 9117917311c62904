"""Projects: what keys belong to, and by whose clock their budgets begin."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from arbiter_app.pipeline.types import Json
from arbiter_app.store import audit
from arbiter_app.store.tables import Project, table

_PROJECTS = table(Project)


@dataclass(frozen=True, slots=True)
class StoredProject:
    """A project; `timezone` is an IANA name."""

    id: str
    name: str
    timezone: str
    created: float
    changed: float


def everyone(connection: Connection) -> list[StoredProject]:
    """Every project, in the order in which they were made."""
    rows = connection.execute(select(_PROJECTS).order_by(_PROJECTS.c.created, _PROJECTS.c.id))
    return [StoredProject(**row) for row in rows.mappings()]


def make(connection: Connection, name: str, timezone: str, now: float, act: Json) -> str | None:
    """A new project's id; None where there is one of that name. `act` is the entry of the audit log."""
    if connection.execute(select(_PROJECTS.c.id).where(_PROJECTS.c.name == name)).first() is not None:
        return None
    audit.add(connection, act)
    project_id = f"prj_{secrets.token_hex(5)}"
    row = {"id": project_id, "name": name, "timezone": timezone, "created": now, "changed": now}
    connection.execute(insert(_PROJECTS).values(**row))
    return project_id


def change(connection: Connection, project_id: str, name: str, timezone: str, now: float, act: Json) -> bool:
    """Rename a project, or change its clock, which holds for budgets that are set from now on. False where another has the name."""
    taken = (_PROJECTS.c.name == name) & (_PROJECTS.c.id != project_id)
    if connection.execute(select(_PROJECTS.c.id).where(taken)).first() is not None:
        return False
    audit.add(connection, act)
    given = {"name": name, "timezone": timezone, "changed": now}
    connection.execute(update(_PROJECTS).where(_PROJECTS.c.id == project_id).values(**given))
    return True
