"""Runtimes that speak OpenAI's chat completions: what Arbiter says inside is what they get."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.reasoning import FORMATS, MEMBER
from arbiter_app.dialects.wire import Reader, WireRequest
from arbiter_app.pipeline.types import Json

_MARKS = tuple(f'"{one}"'.encode() for one in FORMATS)


class ChatWire:
    """Chat completions (`dialects.wire.Wire`). Requests go out as they are, but for what models of other dialects have signed."""

    dialect = "openai-chat"
    models = "/models"
    headers: Mapping[str, str] = MappingProxyType({})

    def url(self, base_url: str) -> str:
        """Where answers are asked for: the base names its version here."""
        return f"{base_url}/chat/completions"

    def authorized(self, key: str) -> dict[str, str]:
        """The header that a key goes in."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def ask(self, payload: bytes) -> WireRequest:
        """The request as it is."""
        if not any(mark in payload for mark in _MARKS):
            return WireRequest(payload)
        given = exact_json.exact(payload)
        messages = [_bare(one) for one in given.get("messages") or ()]
        if messages == given.get("messages"):
            return WireRequest(payload)
        return WireRequest(exact_json.dumps({**given, "messages": messages}), (f"messages.{MEMBER}",))

    def reader(self) -> Reader | None:
        """None: its answers are a chat's."""
        return None


def _bare(message: Any) -> Any:
    """A message without the reasoning that a runtime of another dialect has signed."""
    details = message.get(MEMBER) if isinstance(message, dict) else None
    if not isinstance(details, list):
        return message
    kept = [one for one in details if not (isinstance(one, dict) and one.get("format") in FORMATS)]
    rest: Json = {name: value for name, value in message.items() if name != MEMBER}
    return {**rest, MEMBER: kept} if kept else rest


CHAT = ChatWire()
