"""HTTP to strangers who are neither runtimes nor receivers of messages: an OpenID provider, whatever answers on a port.

One bound for them all: an answer has so many bytes and so many seconds in all, comes as it is (a few bytes of an encoding can
hold gigabytes), and sends nobody elsewhere. Runtimes have a client of their own (`runtime`), receivers theirs (`channels`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

import httpx2
import orjson

from arbiter_app.pipeline.plain import is_digits

MAX_BYTES = 512 * 1024
"""Of one answer: the largest providers say 5 KB of themselves and 20 KB of keys."""
WITHIN_S = 10.0
"""For everything that one visitor's request asks of a stranger, together."""


class AnswerRefused(httpx2.HTTPError):
    """An answer that is not read to its end, or not at all."""


class _AtMost(httpx2.AsyncByteStream):
    """A body that ends in AnswerRefused where it is larger."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for data in self._body:
            size += len(data)
            if size > MAX_BYTES:
                raise AnswerRefused(f"its answer is larger than {MAX_BYTES:,} bytes")
            yield data

    async def aclose(self) -> None:
        await self._body.aclose()


async def _bound(answer: httpx2.Response) -> None:
    """Called by a client once the head is there. Raises AnswerRefused."""
    where, length = answer.url.host, answer.headers.get("content-length", "")
    if 300 <= answer.status_code < 400:
        raise AnswerRefused(f"{where} answers {answer.status_code}, and nobody is sent elsewhere")
    if answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise AnswerRefused(f"{where} answers in an encoding that was not asked for")
    if length and not (is_digits(length) and int(length) <= MAX_BYTES):
        raise AnswerRefused(f"{where}: its answer is larger than {MAX_BYTES:,} bytes")
    if answer.is_success and "html" in answer.headers.get("content-type", "").lower():
        raise AnswerRefused(f"{where} answers with a page, not with JSON")
    assert isinstance(answer.stream, httpx2.AsyncByteStream)
    answer.stream = _AtMost(answer.stream)


def options() -> dict[str, Any]:
    """What a client of httpx2 has to be made with, also where a library makes it; `within` bounds its time in all."""
    return {
        "headers": {"accept": "application/json", "accept-encoding": "identity"},
        "timeout": WITHIN_S,
        "follow_redirects": False,
        "verify": certificates(),
        "event_hooks": {"response": [_bound]},
    }


@cache
def certificates() -> ssl.SSLContext:
    """Read once: each reading takes 40 ms."""
    return httpx2.create_ssl_context()


def within(seconds: float = WITHIN_S) -> AbstractAsyncContextManager[Any]:
    """A block that ends in TimeoutError when it takes longer, however lively the stranger is."""
    return asyncio.timeout(seconds)


async def said_by(url: str, *, seconds: float = WITHIN_S, direct: bool = False) -> dict[str, Any]:
    """The JSON object at a URL; `direct`: by no proxy of the environment. Raises ValueError in one sentence."""
    try:
        async with within(seconds), httpx2.AsyncClient(**options(), trust_env=not direct) as client:
            answer = await client.get(url)
            answer.raise_for_status()
        told = orjson.loads(answer.content)
    except TimeoutError:
        raise ValueError(f"no whole answer within {seconds:g} s") from None
    except httpx2.HTTPStatusError as error:
        raise ValueError(f"it answers {error.response.status_code}") from error
    except AnswerRefused as error:
        raise ValueError(str(error)) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ValueError(f"it cannot be reached ({type(error).__name__})") from error
    except orjson.JSONDecodeError as error:
        raise ValueError("what it answers is no JSON") from error
    if not isinstance(told, dict):
        raise ValueError("what it answers is no JSON object")
    return told
