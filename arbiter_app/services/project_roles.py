"""What somebody may do in a project: a viewer looks, a member also asks and has keys, an owner also manages keys, members and budgets.

Operators may do everything everywhere. A project in which somebody has no role is not there for them.
"""

from __future__ import annotations

from arbiter_app.pipeline.errors import Forbidden, NotFound
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Caller, ProjectRole, Role

RANKS = tuple(ProjectRole)
"""From the least to the most."""


def reaches(held: ProjectRole | None, least: ProjectRole) -> bool:
    """Whether a role is enough where at least another is needed."""
    return held is not None and RANKS.index(held) >= RANKS.index(least)


def is_operator(caller: Caller | None) -> bool:
    """Whether somebody may do everything."""
    return caller is not None and caller.role is Role.OPERATOR


def role_in(caller: Caller, project_id: str) -> ProjectRole | None:
    """The role in a project: an operator has all rights of an owner in each; None where there is none."""
    return ProjectRole.OWNER if is_operator(caller) else dict(caller.memberships).get(project_id)


def may(caller: Caller, project_id: str, least: ProjectRole) -> bool:
    """Whether somebody has at least a role in a project."""
    return reaches(role_in(caller, project_id), least)


def may_somewhere(caller: Caller, least: ProjectRole) -> bool:
    """Whether somebody has at least a role in any project."""
    return is_operator(caller) or any(reaches(role, least) for _, role in caller.memberships)


def require(caller: Caller, project_id: str, least: ProjectRole) -> None:
    """Raises NotFound where somebody has no role in a project, Forbidden where it is not enough."""
    held = role_in(caller, project_id)
    if held is None:
        raise NotFound(f"no project {quoted(project_id, 40)}; see GET /v1/projects")
    if not reaches(held, least):
        raise Forbidden(f"this needs the role {least} in the project; yours is {held}")


def only_looks(caller: Caller) -> bool:
    """Whether somebody may look at projects and ask nothing in any."""
    return bool(caller.memberships) and not may_somewhere(caller, ProjectRole.MEMBER)


def home_of(memberships: tuple[tuple[str, ProjectRole], ...], otherwise: str) -> str:
    """The project for which somebody's own requests count: the first where they may ask."""
    return next((project for project, role in memberships if reaches(role, ProjectRole.MEMBER)), otherwise)
