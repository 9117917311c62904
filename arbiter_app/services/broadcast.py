"""What one process tells the others that serve with it. Alone, it tells nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from arbiter_app.metrics import Snapshot

Send = Callable[[str, Any], None]
Others = Callable[[], Awaitable[dict[str, Snapshot]]]


class Broadcast:
    """`process` is the name of this process among those that share; empty where there is only one."""

    def __init__(self, process: str) -> None:
        self.process = process
        self._sends: list[Send] = []
        self._others: Others | None = None

    def join(self, send: Send, others: Others | None = None, *, process: str | None = None) -> None:
        """From now on changes also go out by `send`; `others` gives the metrics of the other processes."""
        self._sends.append(send)
        if others is not None:
            self._others = others
        if process is not None:
            self.process = process

    def send(self, kind: str, data: Any) -> None:
        """Tell the others of a change."""
        for send in self._sends:
            send(kind, data)

    def pass_on(self, kind: str, data: Any, origin: Send) -> None:
        """Tell of a change that came from where `origin` sends to."""
        for send in self._sends:
            if send != origin:
                send(kind, data)

    async def others(self) -> dict[str, Snapshot]:
        """The metrics of the other processes, by name."""
        return {} if self._others is None else await self._others()
