"""What is no more."""

from __future__ import annotations

from typing_extensions import TypedDict


class RemovedAnswer(TypedDict):
    """What is gone."""

    id: str
    deleted: bool


class ResetAnswer(TypedDict):
    """Everything learned is gone."""

    status: str


class Withdrawn(TypedDict):
    """A link that works no longer."""

    id: str
    withdrawn: bool


class Removed(TypedDict):
    """What is no more."""

    status: str


class DeletedResponse(TypedDict):
    """A kept response that is gone."""

    id: str
    object: str
    deleted: bool
