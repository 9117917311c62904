"""Signs of life to callers while their models are silent, so that nobody in between takes a stream for dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from arbiter_app.pipeline.lifecycle import Streamed


class Pings:
    """Those of one stream: `waiting` whenever all that there is has been sent, `busy` before more is, `close` at last.

    `say` sends at once or not at all; what it is given is the stream's own (`Streamed.ping`). One timer is kept, and moved only when it
    goes off. 0 seconds: never.
    """

    def __init__(self, streamed: Streamed, say: Callable[[bytes], None], every_s: float) -> None:
        self._streamed = streamed
        self._say = say
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def waiting(self) -> None:
        """The next piece is waited for."""
        self._since = now = self._loop.time()
        if self._timer is None and self._every_s > 0:
            self._timer = self._loop.call_at(now + self._every_s, self._look)

    def busy(self) -> None:
        """A piece is being sent: nothing may come between its parts."""
        self._since = None

    def close(self) -> None:
        """The stream is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        since = now if self._since is None else self._since
        if now - since >= self._every_s:
            since = self._since = now
            if self._streamed.ping:
                self._say(self._streamed.ping)
        self._timer = self._loop.call_at(since + self._every_s, self._look)
