"""The gateway as it is now: its state, its processes, and whether they are well."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from arbiter_app.services.rows.alerts import AlertRow


class State(TypedDict):
    """Pool, counters, alerts, overrides, cache and mode."""

    mode: str
    policy: str
    baseline_model: str
    pool_size: int
    pool_notes: list[str]
    classifier: dict[str, int]
    decisions: int
    alerts: list[AlertRow]
    active_price_overrides: dict[str, float]
    cache_entries: int
    cache_mode: str
    cache_hits: int
    quarantined: dict[str, dict[str, Any]]
    learning: dict[str, float | None]
    store: str


class ProcessLoad(TypedDict):
    """The load of one process of a host: requests in work and waiting, answered and CPU cores used since a few seconds ago, resident
    memory, writes not committed yet, and how long ago it last took in what others learned. The process 0 has the pages."""

    process: str
    running: int
    queued: int
    requests_per_s: float | None
    cpu_cores: float | None
    memory_bytes: int
    store_pending: int
    learned_age_s: float


class HostRow(TypedDict):
    """A host by its own account, `silent_s` seconds ago. `state` is serving, paused (the database refuses its writes), draining or silent.

    `requests_per_s`, `cpu_cores` and the like are sums over its `processes`, `learned_age_s` is the longest; `clock_ahead_s` is against
    the database's clock; `leads` says that it does the housekeeping for all.
    """

    id: str
    name: str
    version: str
    schema_revision: str
    state: str
    trouble: str
    leads: bool
    started: float
    silent_s: float
    clock_ahead_s: float | None
    running: int
    queued: int
    requests_per_s: float | None
    cpu_cores: float | None
    memory_bytes: int
    learned_age_s: float
    journal_entries: int
    journal_bytes: int
    processes: list[ProcessLoad]


class StandbyRow(TypedDict):
    """A copy of the database that follows; None: the server does not tell."""

    name: str
    state: str
    lag_s: float | None
    lag_bytes: int | None


class DatabaseRow(TypedDict):
    """The database that hosts share: `used` of `most` connections are open, `ours` of them Arbiter's; None for a file, or while it cannot
    be asked (`trouble` says why)."""

    kind: str
    version: str | None
    used: int | None
    most: int | None
    ours: int | None
    standbys: list[StandbyRow]
    trouble: str


class HostList(TypedDict):
    """Every host that serves from the database, by name, and that database."""

    data: list[HostRow]
    database: DatabaseRow


class HealthAnswer(TypedDict):
    """That Arbiter lives, and what it lacks; `uptime_s` in seconds."""

    status: str
    version: str
    mode: str
    uptime_s: float
    store: str
    journal: str
    learning: str
    runtime: str
    neighbour: str


class ReadyAnswer(TypedDict):
    """Whether Arbiter takes work, or why not."""

    status: str
    reasons: list[str]


class BaseAnswer(TypedDict):
    """Who answers at a base URL, and where the routes are: paths."""

    name: str
    version: str
    base_url: str
    reference: str
    openapi: str
