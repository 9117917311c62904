"""A request in its caller's own words, for runtimes that speak the same dialect: it goes there, and its answer comes back, untranslated.

The core reads the chat that the same request means, and a chat's chunks of the answer, beside what passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.effort import Setting
from arbiter_app.pipeline.never_sent import CHOOSES, OWN
from arbiter_app.pipeline.signed import readable, unsigned

_MARK = re.compile(r'"(?:signature|data|encrypted_content)"\s*:\s*"([^"\\]+)"')
"""What a thought is signed with, in a request as it was written."""
Settle = Callable[[Mapping[str, str], Setting, str], dict[str, str]]
"""How a dialect says how hard a model is to think: from the members of a request (each as JSON), the setting, and the model's name."""


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """`members` are as the caller wrote them, `history` names the one with what was said before. Of the caller's headers those go along
    that are named in `passes` (lower case).
    """

    dialect: str
    members: Mapping[str, str]
    history: str
    passes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    settle: Settle | None = None
    signed: bool = True
    """Whether thoughts may be in the history that a model signed."""

    def settled(self, setting: Setting, model: str) -> tuple[NativeRequest, tuple[str, ...]]:
        """The same with a setting that its caller left open, and the names of the members that do not go with it."""
        if self.settle is None:
            return self, ()
        before = self.members
        after = self.settle(before, setting, model)
        return replace(self, members=after), tuple(name for name in before if name not in after)

    def sent(self, model: str) -> bytes:
        """The body for a runtime: every member as the caller wrote it, but for the model's name, what is ours and what would choose
        another model.
        """
        kept = self.members.items()
        members = {name: text for name, text in kept if name not in CHOOSES and not name.startswith(OWN)}
        members["model"] = orjson.dumps(model).decode()
        return exact_json.of_members(members)

    def unsigned(self) -> NativeRequest | None:
        """The same without what models thought and signed; None where nothing of that is in it."""
        bare = unsigned(self.members.get(self.history, "[]"))
        return None if bare is None else self.with_members(**{self.history: bare.decode()})

    def readable_by(self, is_foreign: Callable[[str], bool]) -> NativeRequest:
        """The same without what others than the model that is asked have signed, where that is known: itself where there is nothing.

        A model of Messages that is to think would refuse to go on with calls that it sees no thought before: then it is not to.
        """
        history = self.members.get(self.history, "")
        if not self.signed or not any(is_foreign(one) for one in set(_MARK.findall(history))):
            return self
        given = exact_json.exact(history.encode())
        kept = readable(given, is_foreign) if isinstance(given, list) else given
        if kept == given:
            return self
        bare = self.with_history(kept)
        if goes_on_unthought(kept) and '"enabled"' in self.members.get("thinking", ""):
            return bare.with_members(thinking='{"type":"disabled"}')
        return bare

    def with_history(self, history: list[Any]) -> NativeRequest:
        """The same with another history (values of `exact_json.exact`)."""
        return self.with_members(**{self.history: exact_json.dumps(history).decode()})

    def with_members(self, **texts: str) -> NativeRequest:
        """The same with other members, each as JSON."""
        return replace(self, members={**self.members, **texts})


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


def goes_on_unthought(history: list[Any]) -> bool:
    """Whether the last words of the assistant begin with a call, whose result is there."""
    spoken = next((one for one in reversed(history) if isinstance(one, dict) and one.get("role") == "assistant"), {})
    blocks = spoken.get("content")
    first = blocks[0] if isinstance(blocks, list) and blocks else None
    called = isinstance(blocks, list) and any(isinstance(one, dict) and one.get("type") == "tool_use" for one in blocks)
    return called and isinstance(first, dict) and first.get("type") not in ("thinking", "redacted_thinking")
