"""Exactly one record of every request, whatever becomes of it; the one place where failures are handled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError, InternalError
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.ports import NotDurable
from arbiter_app.pipeline.types import Completion

log = logging.getLogger("arbiter.lifecycle")

SoFar = Callable[[str], Completion]
"""What of an answer had been received when it was cut off, for the reason given."""


@dataclass(slots=True)
class Recorder:
    """Writes decisions. `ending` says why requests are cut off, once the process ends; empty before."""

    learner: Learner
    ending: str = ""

    async def record(self, decision: Decision) -> None:
        """Stage 6: teach and write, and wait until that is durable. A database that refuses for long holds up no answer."""
        durable = self.learner.learn(decision)
        decision.on_record = True
        try:
            await durable
        except NotDurable as error:
            log.warning("ended before its record was durable: %s", error, extra={"decision": decision.id})
        finally:
            decision.degraded = self.learner.paused

    async def ended(self, decision: Decision, error: BaseException, so_far: SoFar | None = None) -> None:
        """Put on record what has ended a request, before the caller hears of it. Raises InternalError for a defect of ours."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            if not decision.on_record:  # nobody waits until that is durable
                status, code = ("failed", "draining") if self.ending else ("aborted", "caller_gone")
                _fail(decision, status, code, self.ending or "the caller hung up", so_far)
                self.learner.learn(decision)
            return
        if not isinstance(error, Exception):
            return
        told = error if isinstance(error, ArbiterError) else _internal(decision)
        told.decision_id = decision.id
        if told is not error:
            log.exception("a request failed inside Arbiter", extra={"decision": decision.id})
        if not decision.on_record:
            what = told.code, told.message if told is error else type(error).__name__
            try:
                _fail(decision, "failed", *what, so_far)
                await self.record(decision)
            except Exception:
                log.exception("a failure was not recorded", extra={"decision": decision.id})
        if told is not error:
            raise told from error


def _fail(decision: Decision, status: str, code: str, why: str, so_far: SoFar | None) -> None:
    decision.failed(status, code, why)
    if so_far is not None:
        decision.completion = so_far(why)


def _internal(decision: Decision) -> InternalError:
    return InternalError(f"Arbiter failed on this request; the log has the details under {decision.request.request_id}")
