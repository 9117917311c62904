"""Sending by apprise (https://appriseit.com), which knows how Slack, Teams, PagerDuty and mail servers want it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from html import escape

import orjson

from arbiter_app.channels.addresses import ChannelKind, apprise_url, hidden
from arbiter_app.channels.message import OutgoingMessage, SendResult

INHERITED = (
    *("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
"""What a sending process knows of the environment: how to reach the outside, and no key."""


async def send(
    kind: ChannelKind,
    address: str,
    message: OutgoingMessage,
    environment: Mapping[str, str],
    *,
    within_s: float,
    check: bool = False,
) -> SendResult:
    """Send one message, or with `check` see whether apprise takes the address. The process is ended after `within_s`."""
    text = "\n\n".join(part for part in (message.text, message.where) if part)
    where = f"<p style='color:#666'>{escape(message.where)}</p>" if message.where else ""
    asked = {
        "url": apprise_url(kind, address, message),
        "check": check,
        "title": "" if kind is ChannelKind.SLACK else message.title,
        "text": f"*{message.title}*\n{text}" if kind is ChannelKind.SLACK else text,
        "html": message.html + where if kind is ChannelKind.EMAIL and message.html else "",
        "severity": message.severity,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arbiter_app.channels.apprise_child"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={name: environment[name] for name in INHERITED if name in environment},
    )
    try:
        async with asyncio.timeout(within_s):
            out, _ = await process.communicate(orjson.dumps(asked))
    except TimeoutError:
        return SendResult(False, f"no answer within {within_s:g} s")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        told = orjson.loads(out)
        return SendResult(
            bool(told["ok"]), "" if told["ok"] else hidden(str(told["said"]) or "it was refused", address)
        )
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return SendResult(False, f"the sending process ended with {process.returncode}")
