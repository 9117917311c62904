"""The phases: in each, callers, strangers and a lying runtime are at it all the time, and one thing more goes wrong."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.chaos.run import clocks
from tests.chaos.run.callers import Callers
from tests.chaos.run.invariants import Table, flat
from tests.chaos.run.ledger import Ledger
from tests.chaos.run.runtime import Runtime
from tests.chaos.run.strangers import Strangers
from tests.chaos.run.system import System, soon

CALLERS, STRANGERS, STORMS = 16, 40, 5
NOTICED_S, RECOVERED_S, SETTLED_S = 15.0, 40.0, 40.0
PIECE = 1 << 20


class Run:
    """Everything a phase works with."""

    def __init__(
        self,
        system: System,
        runtime: Runtime,
        ledger: Ledger,
        table: Table,
        *,
        seed: int,
        own_disk: bool,
        within: float,
    ) -> None:
        self.system, self.runtime, self.ledger, self.table = system, runtime, ledger, table
        self.rng = random.Random(f"phases {seed}")
        self.callers = Callers([system.url], ledger, random.Random(f"callers {seed}"))
        self.strangers = Strangers([system.port], ledger, random.Random(f"strangers {seed}"))
        self.own_disk, self.within = own_disk, within

    @asynccontextmanager
    async def calling(self, *, strangers: int = STRANGERS) -> AsyncIterator[None]:
        """Callers, strangers and the watch on `/health`, until the block ends."""
        jobs = [self.callers.call() for _ in range(CALLERS)]
        jobs += [self.strangers.trouble() for _ in range(strangers)] + [self.system.watch()]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            yield
        finally:
            ended = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in ended:
                task.result()  # a defect of this run itself

    @asynccontextmanager
    async def storm(self) -> AsyncIterator[None]:
        """The same with a runtime that lies, and dies now and then."""
        self.runtime.lying, self.callers.honest = True, False
        dying = asyncio.create_task(self._die_now_and_then())
        try:
            async with self.calling():
                yield
        finally:
            dying.cancel()
            await asyncio.gather(dying, return_exceptions=True)
            self.runtime.lying = False
            await self.runtime.up()

    async def _die_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(4, 12))
            await self.runtime.down_for(self.rng.uniform(0.2, 1.5))

    async def quiet(self, seconds: float) -> None:
        """Only honest load, all of it answered; what rests after failures gets time to come back first."""
        self.callers.honest = True
        async with self.calling(strangers=0):
            await asyncio.sleep(seconds)
            await self.callers.leave()

    async def serves(self) -> bool:
        """Whether a request is answered."""
        with suppress(OSError, TimeoutError):
            return (await self.callers.chat())[0] == 200
        return False

    async def expect(self, what: str, condition: Callable[[], Awaitable[bool]], within_s: float) -> None:
        """Note in the table whether it comes true in time."""
        started = time.monotonic()
        kept = await soon(condition, within_s)
        self.table.add(what, f"after {time.monotonic() - started:.1f} s, of {within_s:g}", kept=kept)


async def everything_at_once(run: Run, seconds: float) -> None:
    """No more than storms; what the process holds after the last two is compared.

    The first ones fill what is bounded, ask all code once, and leave gaps between what stays, as wide as the storm was: over eight
    storms of 30 s it was 141, 162, 172, 180, 180, 197, 187, 189, 190 MiB. A leak goes on growing.
    """
    await run.system.begin()
    for number in range(STORMS):
        before = await run.system.held()
        async with run.storm():
            await asyncio.sleep(seconds * 4 / 6 / STORMS)
        await run.expect(f"serves after storm {number + 1}", run.serves, RECOVERED_S)
        await run.quiet(seconds * 2 / 6 / STORMS)
    settled = await flat(run.system, before, run.within, SETTLED_S)
    run.table.held(before, settled, run.within)
    await run.system.end()


async def kills(run: Run, seconds: float) -> None:
    """kill -9 every few seconds, and the next start on the same store."""
    until = time.monotonic() + seconds
    while True:
        await run.system.begin()
        async with run.storm():
            await asyncio.sleep(min(run.rng.uniform(1, 9), max(1.0, until - time.monotonic())))
            if time.monotonic() < until:
                await run.system.kill()
                continue
        await run.expect("serves after the kills", run.serves, RECOVERED_S)
        await run.system.end()
        return


async def workers(run: Run, seconds: float) -> None:
    """Two gateway workers, of which one is killed now and then; SIGTERM comes in the middle of the storm."""
    await run.system.begin(ARBITER_WORKERS="2")
    run.callers.urls.append(f"http://127.0.0.1:{run.system.gateway_port}")
    run.strangers.ports.append(run.system.gateway_port)
    try:
        async with run.storm():
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                await asyncio.sleep(min(run.rng.uniform(2, 8), max(0.5, until - time.monotonic())))
                run.system.kill_worker(run.rng.randrange(2))
            await run.expect("ready while workers are replaced", run.system.ready, RECOVERED_S)
            await run.system.end()
    finally:
        run.callers.urls.pop()
        run.strangers.ports.pop()


async def full_disk(run: Run, seconds: float) -> None:
    """No room for the database; then room again."""
    await run.system.begin()
    async with run.storm():
        await asyncio.sleep(seconds / 4)
        free = _fill(run)
        await run.expect("a full disk: not ready", lambda: _not(run.system.ready), NOTICED_S)
        answered = len(run.ledger.answered)
        await asyncio.sleep(seconds / 4)
        await run.expect("a full disk: answers go on", lambda: _more(run, answered), RECOVERED_S)
        free()
        await run.expect("a full disk: ready once there is room", run.system.ready, RECOVERED_S)
        await asyncio.sleep(seconds / 4)
    await run.expect("serves after the full disk", run.serves, RECOVERED_S)
    await run.system.end()


async def moved_away(run: Run, seconds: float) -> None:
    """The database's files are moved away while it serves, and back."""
    await run.system.begin()
    aside = run.system.directory / "aside"
    aside.mkdir(exist_ok=True)
    async with run.storm():
        await asyncio.sleep(seconds / 4)
        moved = run.system.database
        for path in moved:
            path.rename(aside / path.name)
        await run.expect("database moved away: not ready", lambda: _not(run.system.ready), NOTICED_S)
        await asyncio.sleep(seconds / 4)
        for path in run.system.database:
            path.unlink()  # what was made anew in its place
        for path in moved:
            (aside / path.name).rename(path)
        await run.expect("database moved back: ready", run.system.ready, RECOVERED_S)
        await asyncio.sleep(seconds / 4)
    await run.expect("serves after the move", run.serves, RECOVERED_S)
    await run.system.end()


async def clock_jumps(run: Run, seconds: float) -> None:
    """The wall clock jumps by hours and years, back and forth."""
    jumps = clocks.Jumps(run.system.directory / "clock.txt")
    if not jumps.work():
        run.table.add("clock jumps", f"left out: {clocks.MISSING}", kept=True)
        return
    await run.system.begin(**jumps.environ)
    async with run.storm():
        for jump in ("+2h", "-3h", "+400d", "-400d", "+0"):
            jumps.to(jump)
            await asyncio.sleep(seconds / 5)
    await run.expect("serves after the clock's jumps", run.serves, RECOVERED_S)
    await run.system.end()


PHASES: dict[str, tuple[Callable[[Run, float], Awaitable[None]], float]] = {
    "everything at once": (everything_at_once, 0.35),
    "kill -9": (kills, 0.2),
    "workers": (workers, 0.15),
    "full disk": (full_disk, 0.1),
    "moved away": (moved_away, 0.1),
    "clock jumps": (clock_jumps, 0.1),
}
"""By name: the phase, and its share of the time."""


async def _more(run: Run, answered: int) -> bool:
    return len(run.ledger.answered) > answered


async def _not(asked: Callable[[], Awaitable[bool]]) -> bool:
    return not await asked()


def _fill(run: Run) -> Callable[[], None]:
    """Leave no room for the database; what this gives makes room again."""
    if run.own_disk:
        filler = run.system.directory / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"\0" * PIECE):
                pass
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(b"\0" * 512):
                pass
        return filler.unlink
    pid, largest = run.system.pid, min(path.stat().st_size for path in _sized(run.system.database))
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(largest, os.sysconf("SC_PAGE_SIZE")), hard))
    return lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard)) and None


def _sized(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.stat().st_size]
