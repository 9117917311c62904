"""The pages' own calls: the playground's prompt and the demo's workload go through the same lifecycle as the API."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import orjson

from arbiter_app.dialects.openai_chat import parse
from arbiter_app.pipeline.decision import Decision, expanded
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, ChatRequest, Role
from arbiter_app.pipeline.wishes import AUTO
from arbiter_app.services.reads import shown
from arbiter_app.services.requests import RequestService
from arbiter_app.services.rows.decisions import TracedDecision
from arbiter_app.web.tasks import LOOKS, TASKS

MAX_PROMPT = 8_000
DEMO = Caller("demo", Role.OPERATOR, "demo workload")


def request_of(
    caller: Caller,
    prompt: str,
    *,
    max_cost_usd: float | None,
    max_latency_s: float | None,
    no_cache: bool = False,
    model: str = AUTO,
) -> ChatRequest:
    """One prompt as the chat request a client would send."""
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "messages": [{"role": "user", "content": prompt[:MAX_PROMPT]}],
        "arbiter_no_cache": no_cache,
        "arbiter_cache": not no_cache,
    }
    if max_cost_usd is not None:
        body["arbiter_max_cost"] = max_cost_usd
    if max_latency_s is not None:
        body["arbiter_max_latency"] = max_latency_s
    return parse(orjson.dumps(body), caller, "web_" + secrets.token_hex(8))


class Asked:
    """One streamed answer: `run` gives its text as it comes; then read `row` (None until the end)."""

    def __init__(self, requests: RequestService, chat: ChatRequest) -> None:
        self._requests = requests
        self._chat = chat
        self.decision: Decision | None = None

    @property
    def row(self) -> TracedDecision | None:
        """The decision as the read routes show it, with its trace."""
        if self.decision is None:
            return None
        return cast(
            TracedDecision, {**shown({**self.decision.row(), "shadows": []}), "trace": expanded(self.decision.trace())}
        )

    async def run(self, take: Callable[[str], Awaitable[bool]]) -> None:
        """Give `take` the pieces of text until it wants no more, which ends the call of the runtime. Raises ArbiterError."""
        async with self._requests.request() as request:
            await request.admit(self._chat.caller)
            streamed = await self._requests.lifecycle.stream(self._chat)
            self.decision = streamed.decision
            async with aclosing(streamed.chunks) as pieces:
                async for chunks in pieces:
                    text = "".join(chunk.text for chunk in chunks)
                    if text and not await take(text):
                        return


def prompt_of(rng: random.Random, task: str = "") -> str:
    """A demo prompt; numbers vary, so that the response cache does not answer."""
    return rng.choice(LOOKS[task or rng.choice(TASKS)].prompts).format(a=rng.randint(10, 9_999), b=rng.randint(3, 99))


async def _heard(_text: str) -> bool:
    """Nobody reads what the demo is answered."""
    return True


Enough = Callable[[], Awaitable[bool]]
MORE, MOST_TIMES = 20, 4
"""A workload that is not enough yet goes on by so many prompts, to so many times what it began with."""


class Workload:
    """A paced stream of demo prompts; one at a time per process. It spends sandbox money, or an operator's."""

    def __init__(self, requests: RequestService) -> None:
        self._requests = requests
        self._task: asyncio.Task[None] | None = None
        self.total = 0
        self.sent = 0
        self.failed = 0

    @property
    def running(self) -> bool:
        """Whether prompts are being sent."""
        return self._task is not None and not self._task.done()

    def start(self, total: int, per_s: float, task: str, enough: Enough | None = None) -> bool:
        """Send `total` prompts at a pace, and more until they are `enough`. False when a workload is already running."""
        if self.running:
            return False
        self.total, self.sent, self.failed = total, 0, 0
        self._task = asyncio.get_running_loop().create_task(self._run(per_s, task, enough), name="demo workload")
        return True

    def stop(self) -> None:
        """End it now; calls under way are closed."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, per_s: float, task: str, enough: Enough | None) -> None:
        rng, loop = random.Random(), asyncio.get_running_loop()
        began, most, at = loop.time(), self.total * MOST_TIMES, 0
        async with asyncio.TaskGroup() as group:
            while at < self.total:
                await asyncio.sleep(max(0.0, began + at / per_s - loop.time()))
                group.create_task(self._one(prompt_of(rng, task)))
                at += 1
                if at == self.total < most and enough is not None and not await enough():
                    self.total += MORE

    async def _one(self, prompt: str) -> None:
        request = request_of(DEMO, prompt, max_cost_usd=None, max_latency_s=None, no_cache=True)
        try:
            await Asked(self._requests, request).run(_heard)
        except ArbiterError:
            self.failed += 1
        self.sent += 1
