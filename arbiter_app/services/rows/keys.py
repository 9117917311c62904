"""Keys and the projects that they belong to."""

from __future__ import annotations

from typing_extensions import TypedDict


class MintedSecret(TypedDict):
    """A new key, shown this once."""

    api_key: str


class KeyUsage(TypedDict):
    """A key and its use against its limits, null where there is none."""

    key_id: str
    email: str
    role: str
    status: str
    used_6h: int
    limit_6h: int | None
    used_week: int
    limit_week: int | None


class KeyStatus(TypedDict):
    """The state of a key after a change."""

    key_id: str
    status: str


class KeyRow(TypedDict):
    """A stored key without its secret. `expires` in unix seconds, null for never; `models` that it may use, null for all;
    `tolerance` of quality, null for the operator's; `origin` the first of the keys that it takes the place of, empty for none."""

    key_id: str
    email: str
    label: str
    role: str
    status: str
    created: float
    project_id: str
    origin: str
    expires: float | None
    models: list[str] | None
    tolerance: float | None


class KeyEntry(KeyRow):
    """The same with when it was used last, unix seconds; null for never."""

    last_used: float | None


class KeyList(TypedDict):
    """Stored keys, in the order in which they were made."""

    data: list[KeyEntry]


class MintedEntry(TypedDict):
    """A new key with its secret, shown this once."""

    api_key: str
    key: KeyEntry


class ProjectRow(TypedDict):
    """A project: what keys belong to. Budgets' periods begin by its `timezone`.

    What its keys ask and are answered is kept for `content_hours` (0: not at all), without what the rules of `redact` name.
    """

    id: str
    name: str
    timezone: str
    created: float
    keys: int
    content_hours: float
    redact: list[str]


class ProjectList(TypedDict):
    """Projects, in the order in which they were made."""

    data: list[ProjectRow]
