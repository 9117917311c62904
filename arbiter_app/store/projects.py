"""Projects: what keys belong to, and by whose clock their budgets begin."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Select, func, insert, select, update

from arbiter_app.pipeline.types import Json
from arbiter_app.store import audit, contents
from arbiter_app.store.tables import Project, table

_PROJECTS = table(Project)


@dataclass(frozen=True, slots=True)
class StoredProject:
    """A project; `timezone` is an IANA name. Contents are kept for `content_hours`, 0 for not at all, without what `redact` names."""

    id: str
    name: str
    timezone: str
    created: float
    changed: float
    content_hours: float = 0.0
    redact: tuple[str, ...] = ()


def everyone(connection: Connection) -> list[StoredProject]:
    """Every project, in the order in which they were made."""
    return _several(connection, select(_PROJECTS).order_by(_PROJECTS.c.created, _PROJECTS.c.id))


def one(connection: Connection, project_id: str) -> StoredProject | None:
    """The project with this id."""
    return next(iter(_several(connection, select(_PROJECTS).where(_PROJECTS.c.id == project_id))), None)


def named(connection: Connection, name: str) -> StoredProject | None:
    """The project with this name."""
    return next(iter(_several(connection, select(_PROJECTS).where(_PROJECTS.c.name == name))), None)


def _several(connection: Connection, query: Select[Any]) -> list[StoredProject]:
    rows = connection.execute(query).mappings()
    return [StoredProject(**{**row, "redact": tuple(orjson.loads(row["redact"]))}) for row in rows]


def version(connection: Connection) -> tuple[float, ...]:
    """Another value whenever a project was made or changed, by whichever process."""
    return tuple(connection.execute(select(func.count(), func.max(_PROJECTS.c.changed)).select_from(_PROJECTS)).one())


def make(connection: Connection, name: str, timezone: str, now: float, act: Json) -> str | None:
    """A new project's id; None where there is one of that name. `act` is the entry of the audit log."""
    if connection.execute(select(_PROJECTS.c.id).where(_PROJECTS.c.name == name)).first() is not None:
        return None
    audit.add(connection, act)
    project_id = f"prj_{secrets.token_hex(5)}"
    row = {"id": project_id, "name": name, "timezone": timezone, "created": now, "changed": now}
    connection.execute(insert(_PROJECTS).values(**row))
    return project_id


def change(connection: Connection, project_id: str, given: dict[str, Any], now: float, act: Json) -> bool:
    """Change fields of a project; its clock holds for budgets that are set from now on, and contents that are kept already go by its
    new hours where these are fewer. False where another has the name."""
    taken = (_PROJECTS.c.name == given.get("name")) & (_PROJECTS.c.id != project_id)
    if connection.execute(select(_PROJECTS.c.id).where(taken)).first() is not None:
        return False
    audit.add(connection, act)
    if "content_hours" in given:
        contents.shorten(connection, project_id, given["content_hours"])
    if "redact" in given:
        given = {**given, "redact": orjson.dumps(given["redact"]).decode()}
    connection.execute(update(_PROJECTS).where(_PROJECTS.c.id == project_id).values(**given, changed=now))
    return True
