"""Addresses of channels as operators enter them: checked when they are saved, hidden wherever they are shown.

Only what is named here is ever called: http, https and SMTP. None of the other schemes of apprise (files, programs, brokers), and
none of its parameters that read files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from arbiter_app.channels.message import OutgoingMessage
from arbiter_app.pipeline.plain import is_url

MAX_CHARS = 2_000
SLACK: Final = re.compile(r"https://hooks\.slack\.com/services/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+/?")
TEAMS: Final = re.compile(
    r"https://[A-Za-z0-9_.-]+\.(?:logic\.azure\.[a-z]{2,12}|(?:power|apps)platform(?:\.[A-Za-z0-9-]{2,24}){1,3})(?::\d{1,5})?"
    r"(?:/powerautomate/automations/direct(?:/cu/\d+)?)?/workflows/[A-Za-z0-9_-]+/triggers/manual/paths/invoke/?\?\S+"
)
PAGERDUTY: Final = re.compile(r"(?:(us|eu):)?([A-Za-z0-9]{32})")
SMTP_PARAMETERS: Final = frozenset({"from", "to", "cc", "bcc", "reply", "name", "smtp", "mode", "user", "pass"})
"""What an address of e-mail may have behind its `?`; others of apprise read key files, or switch off checking certificates."""
_QUIET: Final = {"image": "no", "footer": "no"}


class ChannelKind(StrEnum):
    """How a message is sent."""

    SLACK = "slack"
    TEAMS = "teams"
    EMAIL = "email"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"


class AddressError(ValueError):
    """An address that cannot be used; the message does not repeat it."""


def check(kind: ChannelKind, address: str) -> None:
    """Raises AddressError, with what the address of such a channel looks like."""
    if len(address) > MAX_CHARS or not address.isprintable() or " " in address:
        raise AddressError(f"an address has at most {MAX_CHARS:,} characters, and no spaces")
    if kind is ChannelKind.TEAMS and not TEAMS.fullmatch(address):
        raise AddressError(
            "Teams: the URL of a workflow (When a Teams webhook request is received), such as "
            "https://….logic.azure.com/workflows/…/triggers/manual/paths/invoke?…"
        )
    if kind is ChannelKind.PAGERDUTY and not PAGERDUTY.fullmatch(address):
        raise AddressError(
            "PagerDuty: the integration key (Events API v2) of 32 letters and digits; eu: before it for the EU"
        )
    if kind is ChannelKind.EMAIL:
        _check_smtp(_parts(address, ("mailto", "mailtos")))
    if kind in (ChannelKind.SLACK, ChannelKind.WEBHOOK):
        parts = _parts(address, ("http", "https"))
        if parts.username is not None or parts.fragment:
            raise AddressError("an http or https address without a user name and without #")


def shown(kind: ChannelKind, address: str) -> str:
    """So much of an address as may be shown: whom it is for, never what opens it."""
    if kind is ChannelKind.PAGERDUTY:
        return f"an integration key of the {'EU' if address.startswith('eu:') else 'US'}"
    parts = urlsplit(address)
    if kind is ChannelKind.EMAIL:
        asked = dict(parse_qsl(parts.query))
        return f"{asked.get('to', '')} by {asked.get('smtp', '') or parts.hostname}"
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/…"


def hidden(said: str, address: str) -> str:
    """A text without anything of the address that opens it: what stands between its marks and is no host."""
    host = urlsplit(address).hostname or ""
    for part in sorted(set(re.split(r"[/?&=:@#;,]+", address)), key=len, reverse=True):
        if len(part) >= 4 and part.lower() not in (host, "http", "https", "mailto", "mailtos"):
            said = said.replace(part, "…")
    return said


def apprise_url(kind: ChannelKind, address: str, message: OutgoingMessage) -> str:
    """The address as apprise takes it."""
    if kind is ChannelKind.PAGERDUTY:
        found = PAGERDUTY.fullmatch(address)
        assert found is not None
        about = {"region": found[1] or "us", "dedup": f"arbiter {message.kind} {message.subject}"[:255], **_QUIET}
        return f"pagerduty://{found[2]}@events/Arbiter/{quote(message.kind)}?{_query(about.items())}"
    if kind is ChannelKind.SLACK and not SLACK.fullmatch(address):
        return _slack_like(urlsplit(address))
    if kind is ChannelKind.SLACK:
        return f"{address}?{_query(_QUIET.items())}"
    if kind is ChannelKind.TEAMS:
        return f"{address}&{_query([('image', 'no')])}"
    return f"{address}{'&' if urlsplit(address).query else '?'}format={'html' if message.html else 'text'}"


def _slack_like(parts: SplitResult) -> str:
    """A server that takes Slack's webhooks (Mattermost, Rocket.Chat, Zulip, ...): a JSON object with `text`."""
    given = [(f"-{name}", value) for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    fields = {":message": "text", ":title": "", ":type": "", ":version": "", ":attachments": ""}
    scheme = "jsons" if parts.scheme == "https" else "json"
    return f"{scheme}://{parts.netloc}{parts.path or '/'}?{_query([*fields.items(), *given])}"


def _query(fields: Iterable[tuple[str, str]]) -> str:
    """A query as apprise reads it: a plus sign is one, and no space."""
    return urlencode(list(fields), quote_via=quote)


def _parts(address: str, schemes: tuple[str, ...]) -> SplitResult:
    if not is_url(address, schemes):
        raise AddressError(f"the address begins with {' or '.join(f'{one}://' for one in schemes)}, and names a host")
    return urlsplit(address)


def _check_smtp(parts: SplitResult) -> None:
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(asked) - SMTP_PARAMETERS):
        raise AddressError(f"e-mail: {unknown[0]!r} is not among {', '.join(sorted(SMTP_PARAMETERS))}")
    if not asked.get("from") or not asked.get("to"):
        raise AddressError(
            "e-mail: an SMTP server with from and to, such as "
            "mailtos://user:password@smtp.example.com:587?from=arbiter@example.com&to=team@example.com"
        )
