"""Answers that several hosts keep together, in Valkey or Redis: optional, never waited for long, and never missed.

Whatever goes wrong there is a miss. After a failure nobody asks again for a while, so that an outage costs one wait and not one for
each request.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger("arbiter.valkey")

PREFIX = "arbiter:answer:1:"
"""Before every key; the number is that of the format."""
PATIENCE = 20
"""Times that wait for whoever has nothing else to do (`doctor`, a reset)."""
REST_S, LONGEST_REST_S = 1.0, 30.0
"""Rest after a failure; it doubles with each that follows."""
CONNECTIONS = 16
MAX_BYTES = 256_000
"""Largest answer that is shared."""
MAX_WAITING = 64
"""Answers that wait to be written; more are not shared."""
SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
T = TypeVar("T")


class _Rests:
    """When to ask for a thing again that has failed: after a rest that doubles each time."""

    def __init__(self) -> None:
        self.s = REST_S
        self._until = 0.0

    @property
    def now(self) -> bool:
        """Whether it failed a moment ago."""
        return asyncio.get_running_loop().time() < self._until

    def failed(self) -> bool:
        """Begin a rest; whether it is the first one."""
        self._until = asyncio.get_running_loop().time() + self.s
        first, self.s = self.s == REST_S, min(2 * self.s, LONGEST_REST_S)
        return first

    def ended(self) -> bool:
        """It works; whether it did not before."""
        before, self.s = self.s, REST_S
        return before > REST_S


class ValkeyAnswers:
    """Kept answers by key, for `ttl_s` seconds; each is waited for `wait_s` at most. Raises ValueError for a URL that is none."""

    def __init__(self, url: str, *, ttl_s: float, wait_s: float) -> None:
        self._wait_s = wait_s
        scheme, colon, rest = url.partition("://")
        if "#" in rest or {"@", "/"} & set(rest.rpartition("@")[0]):
            raise ValueError("characters of a password such as @, / and # are written as %40, %2F and %23")
        self._client: Redis = Redis.from_url(
            f"{SCHEMES.get(scheme, scheme)}{colon}{rest}",
            max_connections=CONNECTIONS,
            socket_timeout=PATIENCE * wait_s,
            socket_connect_timeout=PATIENCE * wait_s,
            retry=Retry(NoBackoff(), 0),
            client_name="arbiter",
        )
        try:
            self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # nothing is sent
        except TypeError as error:
            raise ValueError(f"an option of the URL is not known: {error}") from error
        self.where = re.sub(r"(?<=://)[^@]+@", "***@", url.partition("?")[0])
        """The URL without its password."""
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._waiting: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(MAX_WAITING)
        self._writing: asyncio.Task[None] | None = None
        self._reads, self._writes = _Rests(), _Rests()

    @property
    def resting(self) -> bool:
        """Whether it failed a moment ago, so that nobody asks."""
        return self._reads.now

    async def get(self, key: str) -> bytes | None:
        """What is kept under a key, as it was put; None for nothing, for too much, and for any trouble."""
        found = None if self.resting else await self._tried(self._client.get(PREFIX + key), self._reads, "asked for")
        return found if isinstance(found, bytes) and len(found) <= MAX_BYTES else None

    def put(self, key: str, packed: bytes) -> None:
        """Keep an answer, by and by."""
        if len(packed) <= MAX_BYTES and not self._waiting.full():
            self._waiting.put_nowait((key, packed))
            self._write()

    def forget(self) -> None:
        """Drop all that is kept, by and by, and what waits to be."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)
        self._write()

    async def ping(self) -> str:
        """What is wrong, in words; empty while it does all that is asked of it."""
        try:
            async with asyncio.timeout(PATIENCE * self._wait_s):
                await self._client.set(PREFIX, b"", px=1_000)
                await self._client.get(PREFIX)
                await self._client.scan(match=PREFIX)
                await self._client.unlink(PREFIX)
        except (RedisError, OSError, TimeoutError) as error:
            return str(error) or type(error).__name__
        return ""

    async def close(self) -> None:
        """Let go of the connections."""
        if self._writing is not None:
            self._writing.cancel()
        await self._client.aclose()

    def _write(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._drain(), name="answers for other hosts")

    async def _drain(self) -> None:
        while not self._waiting.empty():
            todo = self._waiting.get_nowait()
            if todo is None:
                await self._drop_all()
            elif not self._writes.now:
                put = self._client.set(PREFIX + todo[0], todo[1], px=self._ttl_ms)
                await self._tried(put, self._writes, "kept")

    async def _drop_all(self) -> None:
        try:
            async for key in self._client.scan_iter(PREFIX + "*", count=1_000):
                await self._client.unlink(key)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error, self._writes, "dropped")

    async def _tried(self, work: Awaitable[T], rests: _Rests, what: str) -> T | None:
        try:
            async with asyncio.timeout(self._wait_s):
                found = await work
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error, rests, what)
            return None
        if rests.ended():
            log.info("answers are %s at %s again", what, self.where)
        return found

    def _failed(self, error: Exception, rests: _Rests, what: str) -> None:
        if rests.failed():
            why = str(error) or type(error).__name__
            log.warning("%s fails (%s): answers are %s there again after a rest", self.where, why, what)
