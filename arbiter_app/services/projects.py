"""Which project is meant."""

from __future__ import annotations

from arbiter_app.pipeline.errors import NotFound
from arbiter_app.pipeline.plain import quoted
from arbiter_app.store import Store, projects
from arbiter_app.store.projects import StoredProject


async def known_project(store: Store, said: str, *, by_name: bool = False) -> StoredProject:
    """The project with this id, or also the one with this name. Raises NotFound."""
    found = await store.read(projects.one, said)
    if found is None and by_name:
        found = await store.read(projects.named, said)
    if found is None:
        raise NotFound(f"no project {quoted(said, 40)}; see GET /v1/projects")
    return found
