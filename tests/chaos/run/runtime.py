"""A runtime over real HTTP that answers honestly, lies, hangs and dies, each model by moods of its own, and keeps its invoice.

What it says is scripted in `lies.py`. `lying` lets moods change; `down_for` takes the whole runtime away for a while.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.types import PICO_PER_USD, Usage
from arbiter_app.runtime.cost import computed_pico
from tests.chaos.run import lies

MOOD_S = 3.0
LIARS = 0.35
"""The share of models that lie at any time."""
LIST_LIES = 0.5
USAGE = Usage(20, 40)
FOREIGN_PICO = 1_000
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CODE = "```python\ndef add(a: int, b: int) -> int:\n    return a + b\n```"


@dataclass(slots=True)
class Call:
    """One chat request of Arbiter's as the runtime sees it: `id` stands in the answer, `pico` on the invoice."""

    id: str
    model: str
    stream: bool
    text: str
    pico: int
    key: str
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def charge(self) -> str:
        """What the answer costs, in USD with every decimal."""
        return f"{self.pico // PICO_PER_USD}.{self.pico % PICO_PER_USD:012d}"

    @property
    def usage(self) -> dict[str, int]:
        """The tokens that are charged for."""
        tokens = USAGE.prompt_tokens, USAGE.completion_tokens
        return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


class Runtime:
    """`invoice`: pico-dollars by the id of every call that was answered honestly and to its end."""

    def __init__(self, port: int, key: str, seed: int) -> None:
        self.port, self.key = port, key
        self.url = f"http://127.0.0.1:{port}/v1"
        self.lying = False
        self.invoice: dict[str, int] = {}
        self.told: Counter[str] = Counter()
        self._rng = random.Random(f"runtime {seed}")
        self._catalog = load_catalog(None, baseline="gpt-4o")
        self._moods: dict[str, tuple[float, str]] = {}
        self._numbers = count(1)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        """Listen."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def down(self) -> None:
        """Stop listening and cut every connection, as a runtime does that dies."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def down_for(self, seconds: float) -> None:
        """Die, and come back."""
        await self.down()
        await asyncio.sleep(seconds)
        await self.up()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        gone = (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError)
        with suppress(*gone, RuntimeError):  # the last: uvloop's word for writing to a connection that has been cut
            while await self._exchange(reader, writer):
                pass
        self._open.discard(writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection can be used again."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        if head.startswith(b"GET"):
            return await self._list(writer)
        asked = json.loads(body)
        call = self._call(asked)
        mood = self._mood(call.model)
        self.told[mood] += 1
        if mood == lies.HONEST:
            await lies.honest(call, writer)
            self.invoice[call.id] = call.pico
            return True
        return await lies.LIES[mood](call, writer)

    async def _list(self, writer: asyncio.StreamWriter) -> bool:
        if self.lying and self._rng.random() < LIST_LIES:
            await lies.send_list(writer, self._rng, self.key)
        else:
            rows = [{"id": model, "object": "model"} for model in self._catalog.models]
            await lies.send(writer, 200, json.dumps({"object": "list", "data": rows}).encode())
        return True

    def _call(self, asked: dict[str, Any]) -> Call:
        name = str(asked.get("model"))
        known = self._catalog.models.get(name)
        pico = computed_pico(USAGE, known) if known is not None else FOREIGN_PICO
        system = str((asked.get("messages") or [{}])[0].get("content"))
        call = Call(f"chatcmpl-{next(self._numbers)}", name, bool(asked.get("stream")), "888", pico, self.key)
        if "Arbiter's judge" in system:
            call.text = json.dumps({"score": self._rng.randrange(30, 101) / 100})
        elif "Arbiter's classifier" in system:
            call.text = self._rng.choice(("code", "math", "factual", "open"))
        elif "Python" in str(asked.get("messages")):
            call.text = CODE
        return call

    def _mood(self, model: str) -> str:
        if not self.lying:
            return lies.HONEST
        until, mood = self._moods.get(model, (0.0, lies.HONEST))
        if time.monotonic() >= until:
            liar = self._rng.random() < LIARS
            mood = self._rng.choice(sorted(lies.LIES)) if liar else lies.HONEST
            self._moods[model] = (time.monotonic() + self._rng.uniform(0.5, 2.0) * MOOD_S, mood)
        return mood
