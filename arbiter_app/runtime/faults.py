"""Turns what can go wrong on the wire into a `RuntimeFault`: transport errors, refusals, errors inside a 200."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.runtime.claims.refusals import refusal_of, states_error
from arbiter_app.runtime.claims.secrets import hide
from arbiter_app.runtime.claims.waits import wait_s

MAX_BODY_BYTES = 64 * 1024


def fault_of(error: httpx.TransportError) -> RuntimeFault:
    """The fault for an error of the connection: connect, timeout, protocol or transport."""
    said = hide(str(error))
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return RuntimeFault("connect", said)
    if isinstance(error, httpx.TimeoutException):
        return RuntimeFault("timeout", said)
    kind = "protocol" if isinstance(error, httpx.RemoteProtocolError) else "transport"
    return RuntimeFault(kind, said)


def refusal(status: int, headers: Mapping[str, str], body: bytes, model: str = "") -> RuntimeFault:
    """The fault for a status that is no answer; `model` is the name that was asked for.

    Below 400 and from 600 on (204, redirects) the runtime breaks the protocol.
    """
    if not 400 <= status < 600:
        return RuntimeFault("protocol", f"the runtime answered with status {status}")
    stated = refusal_of(status, body[:MAX_BODY_BYTES], model)
    return RuntimeFault(
        "status", stated.message or f"status {status}", refusal=stated, retry_after_s=wait_s(headers, body)
    )


def stated_error(answer: object, headers: Mapping[str, str], raw: bytes) -> RuntimeFault | None:
    """The fault for a body that is an error under status 2xx, as some runtimes do; None when it is an answer."""
    if not states_error(answer):
        return None
    stated = refusal_of(200, raw[:MAX_BODY_BYTES])
    message = stated.message or "the runtime reported an error"
    return RuntimeFault("status", message, refusal=stated, retry_after_s=wait_s(headers, raw))
