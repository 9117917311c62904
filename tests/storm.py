"""A storm of streams on one key: random lengths, a third of their callers leave in the middle."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import httpx

from tests.waiting import PATIENCE_S

CALLERS, WAVES = 256, 2


async def storm(
    urls: list[str],
    key: str,
    seed: int,
    *,
    callers: int = CALLERS,
    waves: int = WAVES,
    heard: Callable[[], None] = lambda: None,
) -> Counter[str]:
    """What came of the calls: how many had which status, were `left`, or were `broken`. `heard` is told of each that ended."""
    rng, seen = random.Random(seed), Counter[str]()
    async with httpx.AsyncClient(
        headers={"authorization": f"Bearer {key}"},
        timeout=PATIENCE_S,
        limits=httpx.Limits(max_connections=None),
        verify=False,
    ) as client:

        async def call(at: int) -> None:
            body = {
                "messages": [{"role": "user", "content": f"Calculate 37 * {at}"}],
                "stream": True,
                "max_tokens": rng.choice((50, 200, 800, 2000)),
                "arbiter_pin": "gpt-4o",
                "arbiter_no_cache": True,
            }
            leaves = rng.randint(1, 4) if at % 3 == 0 else None
            try:
                url = f"{urls[at % len(urls)]}/v1/chat/completions"
                async with client.stream("POST", url, json=body) as answer:
                    seen[str(answer.status_code)] += 1
                    if answer.status_code == 402:
                        heard()
                        assert b"budget_exceeded" in await answer.aread()
                        assert float(answer.headers["x-arbiter-budget-remaining"]) >= 0
                        return
                    pieces = 0
                    async for _ in answer.aiter_raw():
                        pieces += 1
                        if leaves is not None and pieces >= leaves:
                            seen["left"] += 1
                            return
            except httpx.HTTPError:
                seen["broken"] += 1
            heard()

        for _ in range(waves):
            await asyncio.gather(*(call(at) for at in range(callers)))
    return seen
