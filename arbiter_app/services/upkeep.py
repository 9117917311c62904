"""What goes on beside the requests: keys, store and holdout followed, what is too old dropped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from arbiter_app.allocator import give_pages_back
from arbiter_app.pipeline.holdout import Holdout
from arbiter_app.pipeline.types import Mode
from arbiter_app.services.budgets import Budgets
from arbiter_app.services.contents import Contents
from arbiter_app.services.exchanges import Exchanges
from arbiter_app.services.feed import Feed
from arbiter_app.services.keys import Keys
from arbiter_app.services.people import People
from arbiter_app.services.sessions import Sessions
from arbiter_app.services.status import Status
from arbiter_app.settings import Settings
from arbiter_app.store import Store, StoreError
from arbiter_app.store.neighbours import Neighbours

log = logging.getLogger("arbiter")

FOLLOW_S = 0.4
HOLDOUT_READ_S = 10.0
STORE_LOOK_S = 0.25
USED_S = 5.0
"""When keys were used last is written down so often."""
SWEEP_S = 5.0
HOUSE_S = 3_600.0
CONTENTS_S = 30.0
"""Nobody sees contents that have expired; so long they may still be in the database."""
PAGES_S = 5.0
"""By itself the C library keeps some ten to hundred megabytes once large bodies and answers have come and gone. Looking takes
0.2 ms when there is nothing to give back, 7 ms for 100 MB in pieces, on another thread (`python -m tests.bench.memory`)."""

Work = Callable[[], Awaitable[object]]


class Background:
    """Tasks that run for as long as the process does; one that ends by an error says so."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this from now on."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a background task ended", exc_info=task.exception())


class Upkeep:
    """The upkeep of one process; each method that follows runs for as long as that does."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        keys: Keys,
        sessions: Sessions,
        people: People,
        budgets: Budgets,
        holdout: Holdout,
        feed: Feed,
        status: Status,
        *,
        contents: Contents,
        exchanges: Exchanges,
    ) -> None:
        self._settings = settings
        self._store = store
        self._keys = keys
        self._sessions = sessions
        self._people = people
        self._budgets = budgets
        self._holdout = holdout
        self._feed = feed
        self._status = status
        self._contents = contents
        self._exchanges = exchanges

    async def follow_keys(self) -> None:
        """Bring in keys that another process or the command line changed, and write down when those here were used."""
        await self._follow("keys", self._keys.stale, self._keys.follow, self._keys.note_used, USED_S)

    async def follow_sessions(self) -> None:
        """Bring in who signed in and out at another process."""
        await self._follow("sessions", self._sessions.stale, self._sessions.follow)

    async def follow_people(self) -> None:
        """Bring in who came in, or may no longer, at another process."""
        await self._follow("people", self._people.stale, self._people.follow)

    async def follow_projects(self) -> None:
        """Bring in what of their contents projects keep."""
        await self._follow("projects", asyncio.Event(), self._exchanges.follow)

    async def follow_budgets(self) -> None:
        """Bring in budgets that another process set, and put right what requests left that ended without a word, or began before one."""
        await self._follow("budgets", self._budgets.stale, self._budgets.follow, self._budgets.sweep, SWEEP_S)

    async def _follow(
        self, what: str, stale: asyncio.Event, follow: Work, also: Work | None = None, every_s: float = 0.0
    ) -> None:
        """Follow what is in the store: as soon as it is said to be stale, else after FOLLOW_S; and do something `also`, less often."""
        done, said = time.monotonic(), ""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stale.wait(), FOLLOW_S)
            stale.clear()
            try:
                await follow()
                if also is not None and time.monotonic() - done >= every_s:
                    done = time.monotonic()
                    await also()
                said = ""
            except StoreError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("the %s are as they were a while ago: %s", what, error)

    async def follow_store(self, neighbours: Neighbours | None) -> None:
        """Tell open pages when the store stops taking writes, and when it takes them again; look for other Arbiters."""
        told = ""
        while True:
            if neighbours is not None:
                self._look_for(neighbours)
            await asyncio.sleep(STORE_LOOK_S)
            await self._store.look()
            if self._store.ledger.degraded != told:
                told = self._store.ledger.degraded
                self._feed.publish("store", {"degraded": told})

    async def read_holdout(self) -> None:
        """Bring in what every process has spent on the holdout today."""
        now = time.time()
        rows = await self._store.day_totals(("mode",), now)
        self._holdout.known(now, sum(row["cost_pico"] for row in rows if row["mode"] == Mode.HOLDOUT))

    async def follow_holdout(self) -> None:
        """Keep to the day's budget together with the other processes."""
        while True:
            await asyncio.sleep(HOLDOUT_READ_S)
            try:
                await self.read_holdout()
            except StoreError as error:
                log.warning("what the holdout cost today is as it was a while ago: %s", error)

    async def give_memory_back(self) -> None:
        """What is free in the C library's heaps goes back to the system."""
        while True:
            await asyncio.sleep(PAGES_S)
            await asyncio.to_thread(give_pages_back)

    async def drop_what_is_old(self) -> None:
        """Retention and roll-up compaction, in small steps, once an hour."""
        while True:
            await asyncio.sleep(HOUSE_S)
            if not self._store.leads:
                continue
            try:
                await self._store.retain(
                    now=time.time(),
                    keep_decisions=self._settings.keep_decisions,
                    keep_trace_days=self._settings.keep_trace_days,
                )
            except StoreError as error:
                log.warning("what is too old stays for another hour: %s", error)

    async def drop_contents(self) -> None:
        """Delete kept contents that have expired, also those of a time when they were kept, and those that are too much."""
        while True:
            try:
                await self._contents.drop_expired(self._settings.keep_content_bytes)
            except StoreError as error:
                log.warning("contents that have expired stay, unseen, for another while: %s", error)
            await asyncio.sleep(CONTENTS_S)

    def _look_for(self, neighbours: Neighbours) -> None:
        """Say that another Arbiter serves from the same file: the records stay right, but the two learn apart."""
        other, before = neighbours.other(), self._status.neighbour
        found = (
            ""
            if other is None
            else f"another Arbiter (process {other}) serves from the same database: the two learn and count apart; "
            "for more processes set ARBITER_WORKERS"
        )
        self._status.neighbour = found
        if found and found != before:
            log.warning("%s", found)
