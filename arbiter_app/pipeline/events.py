"""What a streamed answer is made of on its way to a caller, whatever protocol that speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arbiter_app import exact_json
from arbiter_app.pipeline.completions import first_choice, index_of
from arbiter_app.pipeline.types import Json


class ChunkEvent(bytes):
    """An event that Arbiter made of a chunk, which need not be read again."""

    chunk: Json


@dataclass(slots=True)
class Chunk:
    """A piece of an answer: an OpenAI chunk, `data`, and the `event` that it came in, None where Arbiter made it.

    `odd`: it is not what strict clients read. `placed` are the right numbers of its tool calls, in order.
    """

    event: bytes | None
    data: Json
    placed: Sequence[int] = ()
    odd: bool = False

    @property
    def text(self) -> str:
        """What it adds to the text of the first choice."""
        choice = first_choice(self.data)
        delta = choice.get("delta") if choice is not None else None
        content = delta.get("content") if isinstance(delta, dict) else None
        return content if isinstance(content, str) else ""


def chunks_of(raw: bytes) -> list[Chunk]:
    """A whole answer (its JSON) as chunks, numbers as they were written: how a kept answer is streamed."""
    body = exact_json.exact(raw)
    head = {key: value for key, value in body.items() if key not in ("object", "choices")}
    chunks = []
    for position, choice in enumerate(body.get("choices") or []):
        message = {key: value for key, value in choice.get("message", {}).items() if value is not None}
        if isinstance(message.get("tool_calls"), list):
            message["tool_calls"] = [
                {"index": exact_json.Written(at), **call}
                for at, call in enumerate(message["tool_calls"])
                if isinstance(call, dict)
            ]
        index = index_of({"index": choice.get("index", exact_json.Written(position))})
        rest = {key: value for key, value in choice.items() if key not in ("message", "index")}
        told = {**rest, "index": exact_json.Written(index), "delta": message}
        chunks.append(Chunk(None, {**head, "choices": [told]}))
    return chunks
