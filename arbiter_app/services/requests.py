"""The one way in: whoever wants an answer (the API, the pages, a calibration) is admitted, counted, bounded in time and ended here.

    async with service.request() as request:
        await request.admit(caller)
        streamed = await service.lifecycle.stream(chat)

Leaving the block gives back the place, and the count where no model was asked. Whatever ended the request is an ArbiterError
by then, and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType

from arbiter_app.metrics import Metrics
from arbiter_app.pipeline.errors import (
    ArbiterError,
    BadRequest,
    BudgetExceeded,
    ContextLengthExceeded,
    DeadlineExceeded,
    Forbidden,
    KeyPaused,
    NoCapableModel,
    Overloaded,
    Unprocessable,
)
from arbiter_app.pipeline.lifecycle import Lifecycle
from arbiter_app.pipeline.types import Caller
from arbiter_app.services.admission import Admission
from arbiter_app.services.keys import Keys, LimitReached
from arbiter_app.services.project_roles import only_looks
from arbiter_app.store.usage import Window

UNASKED = (BudgetExceeded, ContextLengthExceeded, NoCapableModel, Unprocessable)
"""Refusals before any model was asked: they do not count against a key's limits. So is a plain BadRequest, which no runtime causes."""
DRAINED = "Arbiter was stopped before this answer was complete; try again in a moment"
RETRY_AFTER_S = 2.0
TIMER_S = 0.001
"""As exact as the event loop's timers are."""


class RequestService:
    """Bounds the requests of one process. `longest_s`: seconds an admitted one may take, reading its answer included."""

    def __init__(
        self, lifecycle: Lifecycle, keys: Keys, metrics: Metrics, admission: Admission, *, longest_s: float
    ) -> None:
        self.lifecycle = lifecycle
        self.keys = keys
        self.metrics = metrics
        self.admission = admission
        self.longest_s = longest_s
        self.draining = False
        """Whether new requests are refused, because the process ends."""
        self.in_work: set[Request] = set()
        self.until: dict[Request, float] = {}
        """When the time of those is over that were admitted, by `time.monotonic`, in this order."""
        self._timer: asyncio.TimerHandle | None = None

    def request(self) -> Request:
        """One request of the current task, from its first byte on; to be entered."""
        return Request(self)

    def refuse_early(self, caller: Caller) -> None:
        """Raises the ArbiterError that `admit` would raise at once."""
        self.refuse(caller)
        self.admission.refuse_when_full()

    def drain(self, within_s: float) -> None:
        """Refuse new requests; those that are in work then have so many seconds."""
        if not self.draining:
            self.draining = True
            asyncio.get_running_loop().call_later(within_s, self.end_all)

    def give_time(self, request: Request) -> None:
        """An admitted request has `longest_s` from now. One timer serves all: whose time began first ends first."""
        self.until[request] = time.monotonic() + self.longest_s
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.longest_s, self._end_late)

    def _end_late(self) -> None:
        self._timer, now = None, time.monotonic()
        for request, until in list(self.until.items()):
            if until - now > TIMER_S:
                self._timer = asyncio.get_running_loop().call_later(until - now, self._end_late)
                return
            del self.until[request]
            request.too_late()

    def end_all(self) -> None:
        """End what is in work, each with an error."""
        self.draining = True
        self.lifecycle.recorder.ending = DRAINED
        for one in self.in_work:
            one.end()

    def refuse(self, caller: Caller) -> None:
        """Raises ArbiterError while draining, for a paused key, and for somebody who may only look."""
        if self.draining:
            message = "Arbiter is shutting down; try again in a moment"
            raise Overloaded(message, code="draining", retry_after_s=RETRY_AFTER_S)
        if caller.status == "paused":
            raise KeyPaused("this API key is paused; resume it with POST /v1/key/resume")
        if caller.memberships and only_looks(caller):
            raise Forbidden("viewers look at projects; to ask, the role member is needed in one")


class Request:
    """One request in work, an asynchronous context manager. Its task is cancelled when it has to end."""

    __slots__ = ("_admitted", "_caller", "_gone", "_late", "_service", "_task", "windows")

    def __init__(self, service: RequestService) -> None:
        self.windows: Mapping[str, Window] = {}
        """What the key's limits leave, by kind; empty where nothing is limited."""
        self._service = service
        self._caller: Caller | None = None
        self._admitted = self._gone = self._late = False
        self._task: asyncio.Task[object] | None = None

    async def admit(self, caller: Caller, *, last: bool = False) -> None:
        """Take a place among those in work (`last`: one that nobody else wants) and count the request. Raises ArbiterError."""
        service = self._service
        service.refuse(caller)
        await service.admission.enter(last=last)
        self._admitted = True
        try:
            self.windows = await service.keys.count(caller)
        except LimitReached as error:
            self.windows = error.windows
            raise
        self._caller = caller
        service.give_time(self)

    def hang_up(self) -> None:
        """Its caller has gone: it ends without a word."""
        self._gone = True
        self.end()

    def end(self) -> None:
        """End it now."""
        if self._task is not None:
            self._task.cancel()

    async def __aenter__(self) -> Request:
        self._task = asyncio.current_task()
        self._service.in_work.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        service, task, self._task = self._service, self._task, None  # nothing that its caller does ends it any more
        service.in_work.discard(self)
        service.until.pop(self, None)
        try:
            if self._caller is not None and (isinstance(error, UNASKED) or type(error) is BadRequest):
                await self._uncount(self._caller)
        finally:
            if self._admitted:
                service.admission.leave()
        if isinstance(error, ArbiterError):
            service.metrics.refused(error)
        elif isinstance(error, asyncio.CancelledError) and task is not None and self._ours:
            task.uncancel()
            if not self._gone:
                why = self._why()
                service.metrics.refused(why)
                raise why from None
            return True
        return False

    @property
    def _ours(self) -> bool:
        """Whether a cancellation was ours."""
        return self._gone or self._late or bool(self._service.lifecycle.recorder.ending)

    def _why(self) -> ArbiterError:
        if self._late:
            return DeadlineExceeded(f"the answer was not read within {self._service.longest_s:g} s")
        return Overloaded(DRAINED, code="draining", retry_after_s=RETRY_AFTER_S)

    async def _uncount(self, caller: Caller) -> None:
        """No model was asked: the request does not count against its key's limits."""
        await self._service.keys.uncount(caller)
        self.windows = {name: replace(one, used=one.used - 1) for name, one in self.windows.items()}

    def too_late(self) -> None:
        """Its time is over."""
        self._late = True
        self.end()
