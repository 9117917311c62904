"""Runtimes that speak OpenAI's chat completions: what Arbiter says inside is what they get."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.reasoning import FORMATS, MEMBER, THOUGHTS, TOLD
from arbiter_app.dialects.wire import Reader, WireRequest
from arbiter_app.pipeline.types import Json

_MARKS = tuple(f'"{one}"'.encode() for one in (*FORMATS, TOLD))


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
        """The request as it is, but for thoughts, which stand where this runtime said them."""
        if not any([mark in payload for mark in _MARKS]):
            return WireRequest(payload)
        given = exact_json.exact(payload)
        made = [_said_again(one) for one in given.get("messages") or ()]
        messages, dropped = [one for one, _ in made], any(left_out for _, left_out in made)
        if messages == given.get("messages"):
            return WireRequest(payload)
        body = exact_json.dumps({**given, "messages": messages})
        return WireRequest(body, (f"messages.{MEMBER}",) if dropped else ())

    def reader(self) -> Reader | None:
        """None: its answers are a chat's."""
        return None


def _said_again(message: Any) -> tuple[Any, bool]:
    """A message with what its model thought as a runtime of chats said it, and without what one of another dialect has signed; whether
    there was any of that.
    """
    details = message.get(MEMBER) if isinstance(message, dict) else None
    if not isinstance(details, list):
        return message, False
    stated = [one for one in details if not (isinstance(one, dict) and one.get("format") in FORMATS)]
    made: Json = {name: value for name, value in message.items() if name != MEMBER}
    kept = []
    for one in stated:
        if not isinstance(one, dict) or one.get("type") != TOLD:
            kept.append(one)
        elif one.get("member") in THOUGHTS and isinstance(one.get("text"), str):
            made[one["member"]] = one["text"]
    return ({**made, MEMBER: kept} if kept else made), len(stated) < len(details)


CHAT = ChatWire()
