"""Decisions that are ready in the same moment go through a stage side by side, not each alone through all of them.

A processor has code and data of a stage at hand when the next decision comes; a single request on its way through all
stages finds little of it, and takes half as long again. So under load a stage is done for everybody who waits for it, then
the next one. Who comes when nobody else is there waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from arbiter_app.pipeline.decision import Decision

Outcome = str | None


@dataclass(slots=True)
class Waiting:
    """A decision and who waits for it, who may have been cut off meanwhile. `final`: no other model is asked any more."""

    decision: Decision
    told: asyncio.Future[Outcome]
    final: bool

    def tell(self, outcome: Outcome = None) -> None:
        """This is what came of it."""
        if not self.told.done():
            self.told.set_result(outcome)

    def fail(self, error: Exception) -> bool:
        """It went wrong, and whoever waits has to put that on record; False when nobody does any more."""
        if self.told.done():
            return False
        self.decision.settled = False
        self.told.set_exception(error)
        return True


Work = Callable[[list[Waiting]], "asyncio.Future[Outcome] | None"]


class Together:
    """Gathers decisions and hands them to `work` in the order in which they came, the next ones once its future is done.

    `work` tells each what came of it; if it raises, all learn that. It runs outside of any request's context. `most` says how
    many of those that wait it gets, `crowd` how many requests are on their way.
    """

    def __init__(self, work: Work, *, most: Callable[[int], int], crowd: Callable[[], int]) -> None:
        self._work = work
        self._most = most
        self._crowd = crowd
        self._waiting: list[Waiting] = []
        self._context = Context()
        self._busy = False

    def put(self, decision: Decision, *, final: bool = False) -> asyncio.Future[Outcome]:
        """Done when `work` has told; the decision is worked on whether or not anybody still waits for that."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append(Waiting(decision, told, final))
        if not self._busy:
            self._busy = True
            if self._crowd() <= 1:
                self._context.run(self._step)
            else:
                loop.call_soon(self._step, context=self._context)
        return told

    def flush(self) -> None:
        """Do what waits now, whatever it waits for."""
        while self._waiting:
            self._context.run(self._step)

    def _step(self) -> None:
        most = self._most(len(self._waiting))
        now, self._waiting = self._waiting[:most], self._waiting[most:]
        done = None
        try:
            done = self._work(now)
        except Exception as error:  # noqa: BLE001 - whoever waits tells of it
            for one in now:
                one.fail(error)
        if done is None or done.done():
            self._go_on(done)
        else:
            done.add_done_callback(self._go_on, context=self._context)

    def _go_on(self, _done: asyncio.Future[Outcome] | None) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            asyncio.get_running_loop().call_soon(self._step, context=self._context)
