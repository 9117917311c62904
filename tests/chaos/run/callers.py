"""Callers who want something: chat in every form, votes, keys, reads; some hang up, some send nonsense."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp

from arbiter_app.pipeline.types import PICO_PER_USD
from tests.chaos.run.ledger import Got, Ledger
from tests.served import OPERATOR

CHAT = "/v1/chat/completions"
WHOLE_S = 60.0
PAUSE_S = 0.06
READS = (
    *("/v1/report", "/v1/recent?limit=50", "/v1/overview", "/v1/policy", "/v1/timeseries", "/v1/alerts", "/v1/pricing"),
    *("/v1/models", "/v1/key", "/metrics", "/health", "/v1/what-if", "/v1/calibrations", "/v1/openapi.json"),
)
NONSENSE = (
    b"",
    b"{",
    b"[]",
    b"[" * 50_000,
    b'{"messages": []}',
    b'{"messages": "hello"}',
    b'{"messages": [{"role": "user", "content": NaN}]}',
    b'{"messages": [{"role": "user", "content": "\\ud800"}], "arbiter_max_cost": "much"}',
    b'{"messages": [{"role": "user", "content": "x"}], "arbiter_models": ["none such"], "seed": 18446744073709551616}',
    b'{"messages": [{"role": "user", "content": "x"}], "arbiter_pin": "none such"}',
    b"\xff\xfe\x00",
)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


class Callers:
    """A crowd over one client; `urls` may change while they call (other ports, another process)."""

    def __init__(self, urls: Sequence[str], ledger: Ledger, rng: random.Random) -> None:
        self.urls = list(urls)
        self.honest = False
        """Only whole chat requests of the operator, nothing else."""
        self._ledger, self._rng = ledger, rng
        self._leaving, self._asking = False, 0
        self._keys: deque[str] = deque([OPERATOR], maxlen=8)
        self._decisions: deque[str] = deque(maxlen=64)
        self._client: aiohttp.ClientSession
        plain, streamed = self._plain, self._streamed
        self._ways: list[Callable[[], Awaitable[None]]] = [plain] * 30 + [streamed] * 28 + [self._read] * 12
        self._ways += [self._vote] * 8 + [self._hang_up] * 8 + [self._nonsense] * 6 + [self._mint] * 3

    async def __aenter__(self) -> Callers:
        connector = aiohttp.TCPConnector(limit=0)
        self._client = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=WHOLE_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def call(self) -> None:
        """One caller, until cancelled or told to leave."""
        while not self._leaving:
            way = self._rng.choice((self._plain, self._streamed)) if self.honest else self._rng.choice(self._ways)
            started = time.monotonic()
            self._asking += 1
            try:
                await way()
            except TimeoutError:
                self._ledger.wrong[f"{way.__name__} waited {WHOLE_S:g} s in vain"] += 1
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.1)
            finally:
                self._asking -= 1
            self._ledger.took(way.__name__, time.monotonic() - started)
            await asyncio.sleep(self._rng.random() * PAUSE_S)

    async def leave(self) -> None:
        """Ask no more, and wait for every answer: who hangs up leaves a call that is charged and on no record."""
        self._leaving = True
        while self._asking:  # noqa: ASYNC110 - nobody else waits for it
            await asyncio.sleep(PAUSE_S)
        self._leaving = False

    async def chat(self) -> tuple[int, bytes]:
        """One plain request of the operator: status and body."""
        return await self._post(CHAT, self._body())

    def _url(self, path: str) -> str:
        return self._rng.choice(self.urls) + path

    def _headers(self, key: str = "") -> dict[str, str]:
        return {"authorization": f"Bearer {key or OPERATOR}"}

    def _key(self) -> str:
        return OPERATOR if self.honest else self._rng.choice((OPERATOR, OPERATOR, OPERATOR, *self._keys))

    def _body(self, **fields: Any) -> dict[str, Any]:
        number = self._rng.randrange(10**6)
        asks = (f"Calculate {number} * 24", f"Write a Python function number {number}", f"Tell me of river {number}")
        body: dict[str, Any] = {"messages": [{"role": "user", "content": self._rng.choice(asks)}], **fields}
        chance = self._rng.random()
        if chance < 0.1:
            body["tools"] = TOOLS
        elif chance < 0.15:
            body["arbiter_pin"] = "gpt-4o"
        elif chance < 0.2:
            body |= {"temperature": 0, "messages": [{"role": "user", "content": "Calculate 37 * 24"}]}
        return body

    async def _post(self, path: str, body: Any) -> tuple[int, bytes]:
        url, key = self._url(path), self._key()
        async with self._client.post(url, json=body, headers=self._headers(key)) as answer:
            data = await answer.read()
            self._ledger.seen(f"POST {path}", answer.status, data + str(answer.headers).encode())
            return answer.status, data

    async def _plain(self) -> None:
        status, data = await self._post(CHAT, self._body())
        if status == 200:
            body = json.loads(data)
            self._got(body.get("arbiter"), body.get("id"))

    async def _streamed(self) -> None:
        data, body = b"", self._body(stream=True)
        if self._rng.random() < 0.3:
            body["stream_options"] = {"include_usage": True}
        async with self._client.post(self._url(CHAT), json=body, headers=self._headers(self._key())) as answer:
            try:
                async for piece in answer.content.iter_any():
                    data += piece
            finally:
                self._ledger.seen(f"POST {CHAT} streamed", answer.status, data + str(answer.headers).encode())
        if not data.endswith(b"data: [DONE]\n\n"):
            return
        frames = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]
        told = [frame["arbiter"] for frame in frames if "arbiter" in frame]
        if len(told) != 1:
            self._ledger.wrong[f"a whole stream with {len(told)} arbiter objects"] += 1
        else:
            self._got(told[0], frames[0].get("id"))

    def _got(self, told: Any, runtime: Any) -> None:
        if not isinstance(told, dict) or not isinstance(told.get("decision_id"), str):
            self._ledger.wrong["an answer without a decision"] += 1
            return
        cost = told["cost"]
        once = told["cache"] != "hit" and not told["failover_from"] and not told["cascaded_from"]
        once = once and told["cost_state"] == "settled" and told["classified_by"] in ("rules", "memory")
        pico = None if cost is None else round(cost * PICO_PER_USD)
        self._ledger.answered.append(Got(told["decision_id"], pico, str(runtime), once))
        self._decisions.append(told["decision_id"])

    async def _hang_up(self) -> None:
        """Ask, and be gone before the answer, or in its middle."""
        body = self._body(stream=self._rng.random() < 0.6)
        async with self._client.post(self._url(CHAT), json=body, headers=self._headers()) as answer:
            if self._rng.random() < 0.5:
                await answer.content.readany()
            answer.close()

    async def _read(self) -> None:
        path = self._rng.choice(READS)
        if self._decisions and self._rng.random() < 0.3:
            path = f"/v1/decisions/{self._rng.choice(self._decisions)}"
        async with self._client.get(self._url(path), headers=self._headers(self._key())) as answer:
            self._ledger.seen(f"GET {path}", answer.status, await answer.read() + str(answer.headers).encode())

    async def _vote(self) -> None:
        if self._decisions:
            rating = self._rng.choice(("up", "down", "sideways"))
            await self._post("/v1/feedback", {"decision_id": self._rng.choice(self._decisions), "rating": rating})

    async def _mint(self) -> None:
        status, data = await self._post("/v1/register", {"email": f"dev{self._rng.randrange(99)}@example.com"})
        if status == 200:
            self._keys.append(json.loads(data)["api_key"])

    async def _nonsense(self) -> None:
        body, headers = self._rng.choice(NONSENSE), {**self._headers(), "content-type": "application/json"}
        async with self._client.post(self._url(CHAT), data=body, headers=headers) as answer:
            self._ledger.seen("nonsense", answer.status, await answer.read())
