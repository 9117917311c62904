"""The client of an OpenAI-compatible embeddings endpoint, for the response cache's search by meaning."""

from __future__ import annotations

import time

import httpx
import orjson

from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.runtime.claims import secrets
from arbiter_app.runtime.faults import fault_of
from arbiter_app.runtime.transport import PooledTransport, timeouts

MAX_CHARS = 8_000
MAX_BYTES = 1_000_000
DEADLINE_S = 2.0


class HttpEmbeddings:
    """Asks `POST {url}` for the vector of a text. A slow or broken endpoint costs at most `DEADLINE_S`."""

    def __init__(
        self, url: str, api_key: str, model: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = httpx.URL(url if url.rstrip("/").endswith("embeddings") else f"{url.rstrip('/')}/embeddings")
        self._headers = {"content-type": "application/json", "accept": "application/json"}
        secrets.keep(api_key)
        secrets.keep_url(url)
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._model = model
        self._transport = transport or PooledTransport()

    async def embed(self, text: str) -> list[float]:
        """The vector of a text. Raises RuntimeFault."""
        content = orjson.dumps({"model": self._model, "input": text[:MAX_CHARS]})
        extensions = {
            "timeout": timeouts(DEADLINE_S, DEADLINE_S, DEADLINE_S),
            "deadline": time.monotonic() + DEADLINE_S,
        }
        request = httpx.Request("POST", self._url, headers=self._headers, content=content, extensions=extensions)
        try:
            response = await self._transport.handle_async_request(request)
            body = await self._read(response)
        except httpx.TransportError as error:
            raise fault_of(error) from error
        if response.status_code != 200:
            raise RuntimeFault("status", f"the embeddings endpoint answered {response.status_code}")
        return _vector(body)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        body = b""
        try:
            async for data in response.aiter_raw():
                body += data
                if len(body) > MAX_BYTES:
                    raise RuntimeFault("protocol", "the embeddings endpoint's answer is too large")
        finally:
            await response.aclose()
        return body


def _vector(body: bytes) -> list[float]:
    try:
        vector = orjson.loads(body)["data"][0]["embedding"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise RuntimeFault("protocol", "the embeddings endpoint's answer holds no vector") from error
    if not isinstance(vector, list) or not vector or not all(isinstance(part, int | float) for part in vector):
        raise RuntimeFault("protocol", "the embeddings endpoint's answer holds no vector")
    return vector
