"""The hosts that serve from one database: every few seconds each says how it is, and any of them can tell of all.

A host speaks for its gateway workers, too. What another one said is read as a claim: it may be of another version.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from arbiter_app import __version__
from arbiter_app.metrics import Snapshot, total
from arbiter_app.services.broadcast import Broadcast
from arbiter_app.services.feed import Feed
from arbiter_app.services.requests import RequestService
from arbiter_app.services.rows.gateway import DatabaseRow, HostList, HostRow, ProcessLoad, StandbyRow
from arbiter_app.services.telemetry import Telemetry
from arbiter_app.settings import Settings
from arbiter_app.store import Store, StoreError, hosts
from arbiter_app.store.engine import head
from arbiter_app.store.health import SQLITE, server_of
from arbiter_app.store.hosts import SILENT_S, ToldHost

log = logging.getLogger("arbiter.hosts")

BEAT_S = 5.0
"""How often a host says how it is."""
LEAVE_S = 1.0
"""How long the end of a host waits to take its leave."""
MOST_PROCESSES = 256
"""Of what another host says of its processes, so many are shown."""
MOST = 1e15
"""No figure of a host is as large."""
_RATES = ("arbiter_requests_total", "process_cpu_seconds_total")
_Seen = tuple[float, dict[str, tuple[float, ...]]]
"""A time by `time.monotonic`, and the sums of _RATES by process."""


class Fleet:
    """This host among all; `run` is its only task, in the process that has the pages."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        requests: RequestService,
        telemetry: Telemetry,
        *,
        broadcast: Broadcast,
        feed: Feed,
    ) -> None:
        self._settings = settings
        self._store = store
        self._requests = requests
        self._telemetry = telemetry
        self._broadcast = broadcast
        self._feed = feed
        self._id, self._name = secrets.token_hex(6), settings.known_as
        self._began, self._began_at = time.monotonic(), time.time()
        self._before: _Seen = (0.0, {})
        self._mine: dict[str, Any] = {}
        self._told = False

    async def run(self) -> None:
        """Say how this host is, for as long as it runs."""
        while True:
            await self.tell()
            await asyncio.sleep(BEAT_S)

    async def tell(self) -> None:
        """Say once how this host is, and have open pages look."""
        self._mine = await self._report()
        if self._store.backend.shared:
            up_s = time.monotonic() - self._began
            say = partial(hosts.tell, host_id=self._id, name=self._name, up_s=up_s, report=self._mine)
            try:
                self._mine["clock_ahead_s"] = await self._store.writer.call(say)
                self._told = True
            except StoreError as error:
                log.debug("other hosts are not told: %s", error)  # the store itself says that it is out
        self._feed.publish("hosts", {})

    async def leave(self) -> None:
        """Take leave, where this host was told of."""
        if self._told:
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._store.writer.call(partial(hosts.leave, host_id=self._id))

    async def listing(self) -> HostList:
        """Every host, and the database; while that cannot be asked, this host alone."""
        if not self._mine:
            self._mine = await self._report()
        mine = ToldHost(self._id, self._name, self._began_at, 0.0, self._mine)
        if not self._store.backend.shared:
            return {"data": [_host(mine)], "database": _database("SQLite", SQLITE)}
        try:
            told = await self._store.read(hosts.listing)
            server = await self._store.read(server_of)
        except StoreError as error:
            return {"data": [_host(mine)], "database": _database("PostgreSQL", trouble=str(error))}
        database = _database("PostgreSQL")
        if server is not None:
            database |= {"version": server.version, "used": server.used, "most": server.most, "ours": server.ours}
            database["standbys"] = [
                StandbyRow(name=one.name, state=one.state, lag_s=one.lag_s, lag_bytes=one.lag_bytes)
                for one in server.standbys
            ]
        return {"data": [_host(one) for one in told], "database": database}

    async def _report(self) -> dict[str, Any]:
        """How this host is, as JSON; rates are those since the report before."""
        snapshots = {self._broadcast.process or "0": self._telemetry.snapshot(), **await self._broadcast.others()}
        at, (then, before) = time.monotonic(), self._before
        sums = {process: tuple(total(one, name) for name in _RATES) for process, one in snapshots.items()}
        self._before = (at, sums)
        rates = {
            process: [(now - was) / (at - then) for now, was in zip(sums[process], before[process], strict=True)]
            for process in sums
            if process in before
        }
        journal = self._store.journal
        return {
            "version": __version__,
            "schema": head(),
            "leads": self._store.leads,
            "draining": self._requests.draining,
            "trouble": self._store.ledger.degraded,
            "journal_entries": 0 if journal is None else journal.waiting,
            "journal_bytes": 0 if journal is None else journal.size,
            "processes": [_load(process, one, rates.get(process)) for process, one in snapshots.items()],
        }


def _load(process: str, snapshot: Snapshot, rates: list[float] | None) -> ProcessLoad:
    return {
        "process": process,
        "running": int(total(snapshot, "arbiter_running")),
        "queued": int(total(snapshot, "arbiter_queue_depth")),
        "requests_per_s": None if rates is None else round(rates[0], 2),
        "cpu_cores": None if rates is None else round(rates[1], 3),
        "memory_bytes": int(total(snapshot, "process_resident_memory_bytes")),
        "store_pending": int(total(snapshot, "arbiter_store_pending")),
        "learned_age_s": round(total(snapshot, "arbiter_learned_age_seconds"), 3),
    }


def _host(told: ToldHost) -> HostRow:
    said = told.report
    given = said.get("processes")
    processes = [_process(one) for one in (given if isinstance(given, list) else [])[:MOST_PROCESSES]]
    trouble, draining = _text(said, "trouble"), said.get("draining") is True
    silent = told.silent_s > SILENT_S
    return {
        "id": told.id,
        "name": told.name,
        "version": _text(said, "version"),
        "schema_revision": _text(said, "schema"),
        "state": "silent" if silent else "draining" if draining else "paused" if trouble else "serving",
        "trouble": trouble,
        "leads": said.get("leads") is True and not silent,
        "started": told.started,
        "silent_s": round(told.silent_s, 1),
        "clock_ahead_s": _known(said, "clock_ahead_s"),
        "running": sum(one["running"] for one in processes),
        "queued": sum(one["queued"] for one in processes),
        "requests_per_s": _summed([one["requests_per_s"] for one in processes]),
        "cpu_cores": _summed([one["cpu_cores"] for one in processes]),
        "memory_bytes": sum(one["memory_bytes"] for one in processes),
        "learned_age_s": max([one["learned_age_s"] for one in processes], default=0.0),
        "journal_entries": int(_number(said, "journal_entries")),
        "journal_bytes": int(_number(said, "journal_bytes")),
        "processes": processes,
    }


def _process(given: object) -> ProcessLoad:
    said = given if isinstance(given, Mapping) else {}
    return {
        "process": _text(said, "process"),
        "running": int(_number(said, "running")),
        "queued": int(_number(said, "queued")),
        "requests_per_s": _known(said, "requests_per_s"),
        "cpu_cores": _known(said, "cpu_cores"),
        "memory_bytes": int(_number(said, "memory_bytes")),
        "store_pending": int(_number(said, "store_pending")),
        "learned_age_s": _number(said, "learned_age_s"),
    }


def _database(kind: str, version: str | None = None, trouble: str = "") -> DatabaseRow:
    return DatabaseRow(kind=kind, version=version, used=None, most=None, ours=None, standbys=[], trouble=trouble)


def _known(said: Mapping[str, Any], name: str) -> float | None:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= MOST:
        return None
    return float(value)


def _number(said: Mapping[str, Any], name: str) -> float:
    return _known(said, name) or 0.0


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value[:500] if isinstance(value, str) else ""


def _summed(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if known else None
