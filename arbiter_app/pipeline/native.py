"""A request in its caller's own words, for runtimes that speak the same dialect: it goes there, and its answer comes back, untranslated.

The core reads the chat that the same request means, and a chat's chunks of the answer, beside what passes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.signed import readable, unsigned

_MARK = re.compile(rb'"(?:signature|data|encrypted_content)"\s*:\s*"([^"\\]+)"')
"""What a thought is signed with, in a request as it was written."""
OWN = "arbiter_"
"""How the names of our own members begin."""


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """`body` is as the caller sent it, `history` the member with what was said before. Of the caller's headers those go along that
    are named in `passes` (lower case).
    """

    dialect: str
    body: bytes
    history: str
    passes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def sent(self, model: str) -> bytes:
        """The body for a runtime: every member as the caller wrote it, but for the model's name and what is ours."""
        members = {name: text for name, text in self.members.items() if not name.startswith(OWN)}
        members["model"] = orjson.dumps(model).decode()
        return _written(members)

    def unsigned(self) -> NativeRequest | None:
        """The same without what models thought and signed; None where nothing of that is in it."""
        members = self.members
        bare = unsigned(members.get(self.history, "[]"))
        return None if bare is None else replace(self, body=_written({**members, self.history: bare.decode()}))

    def readable_by(self, is_foreign: Callable[[str], bool]) -> NativeRequest:
        """The same without what others than the model that is asked have signed, where that is known: itself where there is nothing.

        A model of Messages that is to think would refuse to go on with calls that it sees no thought before: then it is not to.
        """
        marks = {one.decode() for one in _MARK.findall(self.body)}
        if not any(is_foreign(one) for one in marks):
            return self
        members = self.members
        given = exact_json.exact(members[self.history].encode())
        kept = readable(given, is_foreign) if isinstance(given, list) else given
        if kept == given:
            return self
        members[self.history] = exact_json.dumps(kept).decode()
        if _goes_on_unthought(kept) and '"enabled"' in members.get("thinking", ""):
            members["thinking"] = '{"type":"disabled"}'
        return replace(self, body=_written(members))

    def with_history(self, history: list[Any]) -> NativeRequest:
        """The same with another history (values of `exact_json.exact`)."""
        return replace(self, body=_written({**self.members, self.history: exact_json.dumps(history).decode()}))

    def with_members(self, **texts: str) -> NativeRequest:
        """The same with other members, each as JSON."""
        return replace(self, body=_written({**self.members, **texts}))

    @property
    def members(self) -> dict[str, str]:
        """Its members, each as it was written."""
        return exact_json.members(self.body.decode())


class NativeEvents:
    """The events of a streamed answer as the runtime sent them: `ready` to be passed on, and those at its `ending`, which wait for what
    is only known then.
    """

    __slots__ = ("ending", "ready")

    def __init__(self) -> None:
        self.ready: list[bytes] = []
        self.ending: list[bytes] = []

    def taken(self) -> list[bytes]:
        """Those that are ready, once."""
        taken, self.ready = self.ready, []
        return taken


def _goes_on_unthought(history: list[Any]) -> bool:
    """Whether the last words of the assistant begin with a call, whose result is there."""
    spoken = next((one for one in reversed(history) if isinstance(one, dict) and one.get("role") == "assistant"), {})
    blocks = spoken.get("content")
    first = blocks[0] if isinstance(blocks, list) and blocks else None
    called = isinstance(blocks, list) and any(isinstance(one, dict) and one.get("type") == "tool_use" for one in blocks)
    return called and isinstance(first, dict) and first.get("type") not in ("thinking", "redacted_thinking")


def _written(members: Mapping[str, str]) -> bytes:
    return ("{" + ",".join([f"{json.dumps(name)}:{text}" for name, text in members.items()]) + "}").encode()
