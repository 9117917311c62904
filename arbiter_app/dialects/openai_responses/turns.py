"""The turns of a conversation as messages of a chat, once its items are read (`items.py`, `typed.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from arbiter_app.dialects.reasoning import put_back
from arbiter_app.pipeline.types import Json


@dataclass(slots=True)
class _Turn:
    """A message on its way; `results` of its calls, then `seen`, what these show beside text; `signed` is what its model signed."""

    message: Json
    signed: list[Json] = field(default_factory=list)
    results: list[Json] = field(default_factory=list)
    seen: list[Json] = field(default_factory=list)

    @property
    def goes_on(self) -> bool:
        """Whether it is a model's turn that more can belong to."""
        return self.message["role"] == "assistant" and not self.results


class Turns:
    """Gathers the turns of a conversation. `open` has the calls that wait for their results, by their ids."""

    def __init__(self) -> None:
        self.open: dict[str, _Turn] = {}
        self._turns: list[_Turn] = []
        self._signed: list[Json] = []

    def say(self, role: str, content: str | list[Json]) -> None:
        """What the user says, or the system prompt."""
        self._turns.append(_Turn({"role": role, "content": content}))

    def answer(self, text: str, refusal: str | None = None) -> None:
        """What the model says: behind calls that wait, it belongs to their turn."""
        last = self._turns[-1] if self._turns else None
        if last is not None and last.goes_on and last.message.get("tool_calls"):
            last.message["content"] = (last.message["content"] or "") + text or None
            message = last.message
        else:
            message = {"role": "assistant", "content": text or None}
            self._turns.append(_Turn(message))
        self._sign()
        if refusal is not None:
            message["refusal"] = refusal

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """What the model calls."""
        if not self._turns or not self._turns[-1].goes_on:
            self._turns.append(_Turn({"role": "assistant", "content": None}))
        turn = self._turns[-1]
        self._sign()
        call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        turn.message.setdefault("tool_calls", []).append(call)
        self.open[call_id] = turn

    def result(self, call_id: str, text: str, seen: list[Json]) -> None:
        """The result of a call that is open: its text, and what else it shows."""
        turn = self.open.pop(call_id)
        turn.results.append({"role": "tool", "tool_call_id": call_id, "content": text})
        turn.seen += seen

    def sign(self, details: list[Json]) -> None:
        """What a model signed belongs to its turn that comes next, or is under way."""
        self._signed += details

    def _sign(self) -> None:
        if self._signed:
            self._turns[-1].signed += self._signed
            self._signed = []

    def messages(self) -> list[Json]:
        """All messages; of the assistant's, those that say or call something."""
        made: list[Json] = []
        for turn in self._turns:
            message = turn.message
            if message.get("content") or message["role"] != "assistant" or len(message) > 2:
                if turn.signed:
                    put_back(message, turn.signed)
                made.append(message)
            made += turn.results
            if turn.seen:
                made.append({"role": "user", "content": turn.seen})
        return made
