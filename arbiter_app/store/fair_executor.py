"""A few threads that visitors use in turns: whoever asks for much waits for it alone, and holds up everybody else by one piece.

Who asks is a matter of the context (`visitor`), which tasks inherit: the doors set it, and what Arbiter does of its own
accord is one more visitor.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

visitor: ContextVar[str] = ContextVar("visitor", default="")
"""A key's id, or the address of somebody without a key; empty for Arbiter itself."""
Piece = tuple[Callable[[], Any], "Future[Any]"]


class FairExecutor:
    """`threads` threads, and a queue for each visitor who waits for one."""

    def __init__(self, threads: int, name: str) -> None:
        self._waiting: OrderedDict[str, deque[Piece]] = OrderedDict()
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{at}", daemon=True) for at in range(threads)]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` gives, in a thread, when it is this visitor's turn. Raises RuntimeError once closed."""
        future: Future[T] = Future()
        with self._changed:
            if self._closing:
                raise RuntimeError("closed")
            self._waiting.setdefault(visitor.get(), deque()).append((call, future))
            self._changed.notify()
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Do what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (piece := self._next()) is not None:
            call, future = piece
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it is told to whoever asked
                future.set_exception(error)
            else:
                future.set_result(result)
            del piece, call, future

    def _next(self) -> Piece | None:
        """The oldest piece of the visitor who has waited longest for a turn; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            who, own = self._waiting.popitem(last=False)
            piece = own.popleft()
            if own:
                self._waiting[who] = own
            return piece
