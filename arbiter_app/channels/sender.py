"""One door to every channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from arbiter_app.channels import by_apprise
from arbiter_app.channels.addresses import AddressError, ChannelKind, check
from arbiter_app.channels.by_webhook import WebhookSender
from arbiter_app.channels.message import OutgoingMessage, SendResult, Severity

PROCESSES = 2
"""Sending processes at once; more wait for these."""
_PROBE = OutgoingMessage("", "test", "", 0.0, Severity.INFO, "", "")


class Sender:
    """Sends messages, each within `within_s` seconds. `environment` is what the process was given."""

    def __init__(
        self, environment: Mapping[str, str], *, within_s: float = 20.0, now: Callable[[], float] = time.time
    ) -> None:
        self._environment = environment
        self._within_s = within_s
        self._now = now
        self._webhooks = WebhookSender()
        self._places = asyncio.Semaphore(PROCESSES)

    async def check(self, kind: ChannelKind, address: str) -> None:
        """Raises AddressError where such a channel cannot have this address."""
        check(kind, address)
        if kind is not ChannelKind.WEBHOOK and not (await self._by_apprise(kind, address, _PROBE, only_check=True)).ok:
            raise AddressError("the address is not understood")

    async def send(
        self, kind: ChannelKind, address: str, signing: Sequence[str], message: OutgoingMessage
    ) -> SendResult:
        """Send one message; `signing` are the secrets of a webhook."""
        if kind is ChannelKind.WEBHOOK:
            return await self._webhooks.send(address, signing, message, within_s=self._within_s, now=self._now())
        return await self._by_apprise(kind, address, message)

    async def close(self) -> None:
        """Let go of connections."""
        await self._webhooks.close()

    async def _by_apprise(
        self, kind: ChannelKind, address: str, message: OutgoingMessage, *, only_check: bool = False
    ) -> SendResult:
        async with self._places:
            return await by_apprise.send(
                kind, address, message, self._environment, within_s=self._within_s, check=only_check
            )
