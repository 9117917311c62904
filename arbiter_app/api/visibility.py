"""What a visitor may see of each thing: one table, from which the API, the pages, the exports and the sockets all take it.

While public reads are on, somebody without a key sees the sums, what was learned, and every decision in summary: the
fields that name nobody and quote nothing. A caller sees the own calls, whole; somebody with a role in projects those of the projects; an
operator sees everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from arbiter_app.pipeline.errors import NotFound, Unauthorized, Unprocessable
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.project_roles import role_in
from arbiter_app.services.rows.decisions import DecisionRow
from arbiter_app.settings import Settings
from arbiter_app.store.rollup_math import project_scope


class Sight(StrEnum):
    """How much of a thing."""

    NOTHING = "nothing"
    SUMMARY = "everybody's, in summary"
    OWN = "the own, whole"
    PROJECTS = "those of the own projects, whole"
    ALL = "everybody's, whole"


_N, _S, _O, _P, _A = Sight.NOTHING, Sight.SUMMARY, Sight.OWN, Sight.PROJECTS, Sight.ALL
TABLE: dict[str, tuple[Sight, Sight, Sight, Sight]] = {
    # thing:       anonymous under public reads, caller, person with a role in projects, operator
    "learned": (_A, _A, _A, _A),  # policy, models, list prices, shifts, overview
    "sums": (_A, _O, _P, _A),  # report, time series, what-if, spend
    "decisions": (_S, _O, _P, _A),  # lists of them, the feed, exports
    "trace": (_N, _O, _P, _A),  # one decision, whole
    "key": (_N, _O, _O, _A),  # e-mail, state and usage of a key
    "calibrations": (_N, _N, _N, _A),
}
"""Without public reads anonymous visitors see nothing of it."""

PRIVATE = ("request_id", "key_id", "conversation", "quality_reason", "project_id", "end_user", "tags")
"""Fields of a decision that name whose it is, or can quote its answer: None in a summary."""


def sight(thing: str, caller: Caller | None, settings: Settings) -> Sight:
    """How much of a thing a visitor sees; `caller` None or of the role anonymous is somebody without a key."""
    anonymous, own, of_projects, everything = TABLE[thing]
    if caller is None or caller.role is Role.ANONYMOUS:
        return anonymous if settings.reads_open else Sight.NOTHING
    if caller.role is Role.OPERATOR:
        return everything
    return of_projects if caller.memberships else own


def scope(thing: str, caller: Caller | None, settings: Settings) -> str | None:
    """What a visitor is restricted to who asks for nothing in particular: a key, or a project (see `rollup_math.project_scope`); None
    for everybody's. Ask `sight` first whether there is anything to see."""
    return narrowed(thing, caller, settings).scope


@dataclass(frozen=True, slots=True)
class Seen:
    """Whose calls are looked at: those of a key, of a project, of a key in a project; or everybody's, where both are None."""

    key_id: str | None = None
    project_id: str | None = None

    @property
    def scope(self) -> str | None:
        """The same as the scope of sums (see `rollup_math.project_scope`). Raises Unprocessable for a key in a project."""
        if self.project_id is None:
            return self.key_id
        if self.key_id is not None:
            raise Unprocessable("this is told of a key or of a project; GET /v1/spend takes both at once", param="key")
        return project_scope(self.project_id)


def narrowed(
    thing: str, caller: Caller | None, settings: Settings, *, project: str | None = None, key: str | None = None
) -> Seen:
    """What a visitor sees of a thing who asks for a key or project, or for all that is theirs. Raises NotFound for what is not."""
    asked = project is not None or key is not None
    if asked and (caller is None or caller.role is Role.ANONYMOUS):
        raise Unauthorized("an API key is needed to look at a key or project", code="missing_api_key")
    seen = sight(thing, caller, settings)
    if caller is None or seen not in (Sight.OWN, Sight.PROJECTS):
        return Seen(key, project)
    if seen is Sight.PROJECTS:
        chosen = caller.memberships[0][0] if project is None else project
        if role_in(caller, chosen) is None:
            raise NotFound("no such project is yours")
        return Seen(key, chosen)
    if key not in (None, caller.key_id) or project not in (None, caller.project):
        raise NotFound("no such key or project is yours")
    return Seen(caller.key_id, project)


def may_open(caller: Caller | None, row: Mapping[str, Any], settings: Settings) -> bool:
    """Whether a visitor may open a decision, with its trace."""
    seen = sight("trace", caller, settings)
    if caller is None or seen in (Sight.ALL, Sight.NOTHING):
        return seen is Sight.ALL
    in_project = seen is Sight.PROJECTS and role_in(caller, str(row["project_id"])) is not None
    return in_project or caller.key_id == row["key_id"]


def told(row: DecisionRow, caller: Caller | None, settings: Settings) -> DecisionRow:
    """A decision of a list as this visitor sees it."""
    if sight("decisions", caller, settings) is not Sight.SUMMARY:
        return row
    return cast(DecisionRow, {name: None if name in PRIVATE else value for name, value in row.items()})
