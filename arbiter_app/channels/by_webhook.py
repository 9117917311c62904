"""Webhooks, signed by the Standard Webhooks convention (https://www.standardwebhooks.com) with its reference library.

`webhook-id` is the same for every try of a message, so that receivers can tell what they have had. The answer's body is not read,
redirects are not followed.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC

import httpx
import orjson
from standardwebhooks import Webhook

from arbiter_app.channels.message import OutgoingMessage, SendResult
from arbiter_app.moments import moment
from arbiter_app.pipeline.plain import is_digits
from arbiter_app.runtime.claims.waits import MOST_S

CONNECT_S = 5.0
GONE = 410
"""The receiver wants no more of it; by the convention it is not tried again."""


def new_secret() -> str:
    """A signing secret: `whsec_` and 24 random bytes as base64."""
    return f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"


class WebhookSender:
    """Sends with one client, which is made when it is first needed: reading certificates takes 40 ms."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def send(
        self, address: str, signing: Sequence[str], message: OutgoingMessage, *, within_s: float, now: float
    ) -> SendResult:
        """Send one message, signed with every one of the secrets."""
        body = payload(message)
        at = moment(now, UTC)
        signed = " ".join(Webhook(one).sign(message.id, at, body.decode()) for one in signing)
        headers = {
            "content-type": "application/json",
            "user-agent": "Arbiter",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": signed,
        }
        if self._client is None:
            self._client = await asyncio.to_thread(_client)
        try:
            async with (
                asyncio.timeout(within_s),
                self._client.stream("POST", address, content=body, headers=headers) as got,
            ):
                return _result(got.status_code, got.headers.get("retry-after", ""))
        except TimeoutError:
            return SendResult(False, f"no answer within {within_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return SendResult(False, f"it cannot be reached ({type(error).__name__})")

    async def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            await self._client.aclose()


def payload(message: OutgoingMessage) -> bytes:
    """The body: `type`, `timestamp` of what happened, and `data`, as the convention recommends."""
    told = {"title": message.title, "text": message.text, "severity": message.severity, "subject": message.subject}
    at = moment(message.ts, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": message.kind, "timestamp": at, "data": {**told, **message.data}})


def _client() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=20, max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=httpx.Timeout(None, connect=CONNECT_S), limits=limits, follow_redirects=False)


def _result(status: int, retry_after: str) -> SendResult:
    if 200 <= status < 300:
        return SendResult(True)
    wait_s = min(float(retry_after), MOST_S) if is_digits(retry_after, 9) else None
    return SendResult(False, f"it answered {status}", final=status == GONE, retry_after_s=wait_s)
